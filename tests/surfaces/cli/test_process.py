"""The command as a process: how it starts, and how it ends when it is stopped or nobody reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
import pytest

import meerkat_mob
from tests.surfaces.cli.kit import INCIDENT_ROOM, TASK

COMMAND = (sys.executable, "-m", "meerkat_mob")
SLOWLY = ("run", str(INCIDENT_ROOM), TASK, "--model", "scripted", "--pace", "1000")
HANGS_AFTER_S = 60


def finished(*argv: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command run to its end; ``path`` is put before everything that Python imports."""
    env = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [*COMMAND, *argv],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=HANGS_AFTER_S,
        env=env,
    )


def started(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """It hears an interrupt, as it would in a terminal, also when the suite itself does not.

    A shell starts what it puts in the background with SIGINT ignored, and all below inherit that;
    of what is not ignored a new program has the default.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [*COMMAND, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=env,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def a_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def test_the_version_is_the_package_s() -> None:
    ended = finished("--version")
    assert (ended.returncode, ended.stdout) == (
        0,
        f"meerkat-mob, version {meerkat_mob.__version__}\n",
    )


def test_help_names_every_command_and_loads_no_terminal_library() -> None:
    ended = finished("--help")
    assert ended.returncode == 0
    assert [
        n for n in ("run", "validate", "sessions", "proxy", "completion") if n not in ended.stdout
    ] == []
    code = (
        "import sys; from meerkat_mob.surfaces.cli import main; main(['--help']); "
        "sys.exit('rich.console' in sys.modules or 'httpx2' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert asked.returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    ended = finished("completion", shell)
    assert ended.returncode == 0
    assert "_MEERKAT_MOB_COMPLETE" in ended.stdout


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_libraries_it_says_how_to_install_them(missing: str, tmp_path: Path) -> None:
    fault = f"raise ModuleNotFoundError('no', name={missing!r})"
    (tmp_path / f"{missing}.py").write_text(fault, encoding="utf-8")
    ended = finished("--help", path=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"meerkat-mob: the command needs {missing}: pip install 'meerkat-mob[cli]'\n"
    )


def test_a_run_that_was_stopped_in_a_realm_goes_on_where_it_was(tmp_path: Path) -> None:
    realm = tmp_path / "my realm"
    with started([*SLOWLY, "--realm", str(realm)]) as process:
        while "you → " not in a_line(process.stderr):
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 130
    assert err.strip().endswith(f"it goes on with meerkat-mob resume '{realm}'")
    ended = finished("resume", str(realm), "--model", "scripted")
    assert ended.returncode == 0
    assert "it goes on with what was waiting" in ended.stderr
    again = finished("inputs", str(realm))
    assert again.returncode == 0
    assert "operator" not in again.stdout  # news of peers may wait for the next run


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_closes_in_order_and_says_so(sign: signal.Signals, code: int) -> None:
    with started([*SLOWLY, "--json"]) as process:
        while "you → " not in a_line(process.stderr):
            pass  # until the task is given
        process.send_signal(sign)
        out, err = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == code
    assert err.strip() == "interrupted"
    last = msgspec.json.decode(out.splitlines()[-1])
    assert last == {
        "type": "error",
        "code": "REQUEST_CANCELLED",
        "message": "interrupted",
        "exit_code": code,
    }


def test_a_reader_that_goes_away_ends_the_run_quietly() -> None:
    with started([*SLOWLY[:-1], "50", "--json", "--quiet"]) as process:
        a_line(process.stdout)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=HANGS_AFTER_S) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_texts_that_the_encoding_lacks_do_not_break_the_log() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    argv = [*COMMAND, "run", str(INCIDENT_ROOM), TASK, "--model", "scripted"]
    ended = subprocess.run(argv, capture_output=True, env=env, check=False, timeout=HANGS_AFTER_S)
    assert ended.returncode == 0
    assert b"you -> commander: " in ended.stderr
