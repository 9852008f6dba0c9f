"""A second look from outside: another process holds the realm, or ours may not read it at all."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from tests.surfaces.cli.kit import PAIR, ROOT, a_team, called
from tests.surfaces.cli.realms import a_realm, talks

COMMAND = (sys.executable, "-m", "meerkat_mob")
HANGS_AFTER_S = 60


class Holder:
    """Another process that holds a realm, and does a turn when it is told what to say."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "kept\n"


@contextlib.contextmanager
def held(folder: Path) -> Generator[Holder, None, None]:
    argv = [sys.executable, "-m", "tests.surfaces.cli.holder", str(folder)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield Holder(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=HANGS_AFTER_S) == 0


def test_a_realm_is_looked_at_while_another_process_holds_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    realm = tmp_path / "kept"
    with held(realm) as holder:
        for turn in range(1, 4):
            holder.say(f"turn {turn}")
            listed = called(capsys, "sessions", "list", realm, "--json").document
            (one,) = listed["sessions"]
            assert (one["session_id"], one["message_count"]) == ("held-1", 2 * turn)
            shown = called(capsys, "sessions", "show", realm, "held", "--last", "2")
            assert f"user: turn {turn}\nassistant: noted\n" in shown.out
            verified = called(capsys, "sessions", "verify", realm)
            assert verified.code == 0, verified.out
            document = called(capsys, "sessions", "export", realm, "held-1")
            assert len(msgspec.json.decode(document.out)["messages"]) == 2 * turn
        holder.say("and it was not disturbed")


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    realm = a_realm(tmp_path, talks)
    for more in (
        ["list"],
        ["list", "--json"],
        ["show", "lead-1"],
        ["verify"],
        ["export", "lead-1"],
    ):
        verb, *rest = more
        ours, theirs = os.pipe()
        os.close(ours)
        with subprocess.Popen(
            [*COMMAND, "sessions", verb, str(realm), *rest],
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(theirs)
            _, err = process.communicate(timeout=HANGS_AFTER_S)
        assert process.returncode == 141, (more, err)
        assert "Traceback" not in err
        assert "error" not in err


def test_letters_that_the_terminal_lacks_do_not_stop_it(tmp_path: Path) -> None:
    realm = a_realm(tmp_path, talks)
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    def said(*argv: str) -> bytes:
        command = [*COMMAND, "sessions", argv[0], str(realm), *argv[1:]]
        return subprocess.run(command, capture_output=True, env=env, check=True).stdout

    assert b'lead ok echo {"place":"\\xd6d\\xf6n"} -> ' in said("show", "lead-1")
    assert "\u00d6d\u00f6n".encode() in said("export", "lead-1")  # JSON is UTF-8


WITHOUT_RIGHTS = """
import os, sys
from meerkat_mob.surfaces.cli import findings, main, sessions_list
main(["sessions", "verify", sys.argv[1]])  # what it needs is loaded now
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(["sessions", "list", sys.argv[2]]))
"""


@pytest.mark.parametrize("locked", [".", "realm.sqlite3"])
def test_what_may_not_be_read_is_refused_in_words(locked: str) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        open_to_all, realm = (a_realm(Path(folder, name), talks) for name in ("open", "closed"))
        (realm / locked).chmod(0)
        ended = subprocess.run(
            [sys.executable, "-c", WITHOUT_RIGHTS, open_to_all, realm],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGS_AFTER_S,
        )
        (realm / locked).chmod(0o755)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(f"error REALM_UNREADABLE: cannot open the realm at {realm}: ")
    assert ended.stderr.count("\n") == 1


def completed(words: str, place: int) -> list[str]:
    """What bash is told when the word at ``place`` is completed."""
    ended = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER_S,
        env={
            **os.environ,
            "_MEERKAT_MOB_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        },
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def test_a_shell_completes_commands_and_session_ids(tmp_path: Path) -> None:
    realm = a_realm(tmp_path, talks)
    assert completed("meerkat-mob sessions ", 2) == [
        f"plain,{name}" for name in ("export", "list", "show", "verify")
    ]
    told = completed(f"meerkat-mob sessions show {realm} talk", 4)
    assert told == ["plain,talk-3", "plain,talk-2", "plain,talk-1"]
    assert completed("meerkat-mob sessions show nowhere t", 4) == []
    assert completed("meerkat-mob sessions show re", 3) == ["dir,re"]


# -- the page about the command ----------------------------------------------------------------

FENCE = re.compile(r"^```(?:sh|text) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def likened(text: str) -> str:
    """The same for every run: ids and figures have no value, times and gaps no length."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"just now|\d+ s ago", "AGO", text)
    return re.sub(r"\s+", " ", re.sub(r"[\d,]*\d", "N", text))


def test_the_page_s_example_runs_and_prints_what_the_page_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    blocks = {found[1]: found[2] for found in FENCE.finditer(page)}
    lonely = PAIR.replace('id = "pair"', 'id = "solo"')
    worker = lonely.index("[profiles.worker]")
    a_team(tmp_path, lonely[:worker] + lonely[lonely.index("[wiring]") :])
    printed: dict[str, str] = {}
    with contextlib.chdir(tmp_path):
        for line in blocks["sessions"].splitlines():
            program, *argv = shlex.split(line, comments=True)
            assert program == "meerkat-mob"
            ended = called(capsys, *argv)
            assert ended.code == 0, ended.err
            printed[argv[1]] = ended.out
    for name in ("list", "verify"):
        assert likened(printed[name]) == likened(blocks[name])
    assert (tmp_path / "lead.json").exists()
