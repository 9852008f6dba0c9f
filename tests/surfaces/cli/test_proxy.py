"""``meerkat-mob proxy`` as a process: how it starts, what it logs, how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.surfaces.cli.proxy_process import KEY, asking_at, environment, running
from tests.surfaces.cli.test_process import (
    COMMAND,
    HANGS_AFTER_S,
    a_line,
    finished,
    started,
)
from tests.web import chat_team, model_server

pytestmark = pytest.mark.loopback

PAGE = "http://localhost:8000"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_it_says_where_each_path_leads_and_which_key_is_missing() -> None:
    argv = ("proxy", "--port", "0", "--origin", f"{PAGE}/")
    env = environment(OPENAI_API_KEY=KEY, ANTHROPIC_BASE_URL="http://localhost:9")
    with started(argv, env=env) as process:
        lines = [a_line(process.stdout).strip() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_AFTER_S)
    address = lines[0].partition("/openai")[0]
    assert lines == [
        f"{address}/openai → https://api.openai.com/v1",
        f"{address}/anthropic → http://localhost:9",
        f"{address}/gemini → no key: set RKAT_GEMINI_API_KEY or GEMINI_API_KEY or GOOGLE_API_KEY",
        f"lets in pages of {PAGE}; Ctrl-C ends it",
    ]
    assert (process.returncode, err.strip()) == (130, "interrupted")


def test_as_json_it_starts_with_one_line_that_a_program_can_read() -> None:
    with running("--origin", PAGE, env={"OPENAI_API_KEY": KEY}) as proxy:
        told = proxy.started
    assert (told["type"], told["origins"]) == ("listening", [PAGE])
    ways = told["ways"]
    assert isinstance(ways, list)
    assert ways[2] == {
        "path": "/gemini",
        "upstream": "https://generativelanguage.googleapis.com",
        "served": False,
        "key_variables": ["RKAT_GEMINI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"],
    }


def test_it_logs_method_path_status_and_time_and_nothing_that_was_said() -> None:
    with chat_team.serving() as team, running(env=asking_at(team.base_url)) as proxy:
        url = f"{proxy.address}/openai/chat/completions?key=in-the-query"
        words = {**ASKED, "user": "in-the-body"}
        told = httpx2.post(url, json=words, headers={"authorization": "Bearer of-the-page"})
        lost = httpx2.get(f"{proxy.address}/no%1b[31mwhere")
        assert (told.status_code, lost.status_code) == (200, 404)
        assert [key for _, key, _ in team.asked] == [f"Bearer {KEY}"]
        assert proxy.stop() == 130
    first, second, last = proxy.log.splitlines()
    method, path, status, ms, unit = first.split()
    assert (method, path, status, unit) == ("POST", "/openai/chat/completions", "200", "ms")
    assert ms.isdecimal()
    assert second.startswith("GET /no[31mwhere 404 ")
    assert last == "interrupted"
    for secret in (KEY, "of-the-page", "in-the-query", "in-the-body", "model"):
        assert secret not in proxy.log


def test_quiet_it_logs_no_request() -> None:
    with running("--quiet", env={}) as proxy:
        assert httpx2.get(f"{proxy.address}/nowhere").status_code == 404
        proxy.stop()
    assert proxy.log.strip() == "interrupted"


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle_of_an_answer_it_ends_at_once_and_so_does_the_call(
    sign: signal.Signals, code: int
) -> None:
    with model_server.serving(cors=False) as model, running(env=asking_at(model.address)) as proxy:
        url = f"{proxy.address}/openai/chat/completions"
        model.first_piece_seen.set()
        endless = {**ASKED, "model": "endless"}
        with httpx2.stream("POST", url, json=endless) as answer:
            pieces = answer.iter_raw()
            assert b"one, " in next(pieces)
            assert proxy.stop(sign) == code
            with pytest.raises(httpx2.RemoteProtocolError):
                for _ in pieces:
                    pass
        assert model.hung_up.wait(model_server.PATIENCE_S)
    first, last = proxy.log.splitlines()
    assert first.startswith("POST /openai/chat/completions 200 cut off ")
    assert last == "interrupted"


def test_where_others_can_reach_it_it_warns() -> None:
    argv = ("proxy", "--port", "0", "--host", "0.0.0.0", "--expose", "--origin", PAGE)
    with started(argv, env=environment()) as process:
        told = a_line(process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=HANGS_AFTER_S)
    assert told.startswith("warning: other machines reach 0.0.0.0.")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--origin", "*"), "--origin: '*' would let in every page"),
        (("--origin", "localhost"), "--origin: 'localhost' is no origin"),
        (("--host", "0.0.0.0"), "--host: other machines reach '0.0.0.0'"),
        (("--expose",), "--expose: it has no effect here"),
        (("--host", "no.host.invalid", "--expose"), "--host: nobody can listen on no.host.invalid"),
        (("--host", "192.0.2.1", "--expose"), "--host: nobody can listen on 192.0.2.1"),
    ],
)
def test_options_that_make_no_sense_are_told_with_the_way_out(
    options: tuple[str, ...], told: str
) -> None:
    ended = finished("proxy", "--port", "0", *options)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "; " in ended.stderr
    assert ended.stdout == ""


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = finished("proxy", "--port", str(port))
    assert ended.returncode == 2
    assert f"--port: nobody can listen on 127.0.0.1 port {port}" in ended.stderr


def test_an_environment_that_leads_in_a_circle_is_refused_at_its_variable() -> None:
    env = environment(OPENAI_BASE_URL="http://localhost:18787/openai")
    ended = subprocess.run(
        [*COMMAND, "proxy", "--port", "18787"],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER_S,
        env=env,
    )
    assert ended.returncode == 2
    assert "OPENAI_BASE_URL: " in ended.stderr
    assert "leads back to this proxy" in ended.stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "httpx2"])
def test_without_its_libraries_it_says_how_to_install_them(missing: str, tmp_path: Path) -> None:
    fault = f"raise ModuleNotFoundError('no', name={missing!r})"
    (tmp_path / f"{missing}.py").write_text(fault, encoding="utf-8")
    ended = finished("proxy", path=tmp_path)
    assert ended.returncode == 40
    assert f"the module {missing} is not installed" in ended.stderr
    assert "pip install 'meerkat-mob[serve]'" in ended.stderr


def test_its_options_are_completed_and_its_help_loads_no_server() -> None:
    env = {
        **environment(),
        "_MEERKAT_MOB_COMPLETE": "bash_complete",
        "COMP_WORDS": "meerkat-mob proxy --",
        "COMP_CWORD": "2",
    }
    told = subprocess.run(
        [*COMMAND], capture_output=True, text=True, check=False, timeout=HANGS_AFTER_S, env=env
    ).stdout
    for option in ("--origin", "--host", "--port", "--expose", "--quiet", "--json"):
        assert f"plain,{option}\n" in told
    code = (
        "import sys; from meerkat_mob.surfaces.cli import main; main(['proxy', '--help']); "
        "sys.exit('uvicorn' in sys.modules or 'starlette' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
