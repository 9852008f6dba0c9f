"""Hooks that are programs: told, heard, and ended with all that they have started (HK-7)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import msgspec
import pytest

from meerkat_mob.agent.command_hook import INHERITED, command_hook
from meerkat_mob.agent.configured_hooks import hooks_of
from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.core.events import AgentEvent, HookFailed
from meerkat_mob.core.hook_config import layered, read_hooks
from meerkat_mob.core.hooks import (
    PAYLOAD_MAX_BYTES,
    Deny,
    Hook,
    HookCall,
    HookOptions,
    RunResultPatch,
)
from meerkat_mob.errors import HookDenied, HookExecutionFailed, InvalidParams
from meerkat_mob.testing.builders import the_loop_s_clock
from tests.agent.kit import a_bench

pytestmark = pytest.mark.native_only

END = HookCall(point="run_completed", session_id="s", text="done")
NOTE = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()));"
SPAWN = """
import subprocess, sys, time, pathlib
child = "import time, pathlib, sys; print('on', flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
pathlib.Path(sys.argv[1]).write_text(str(process.pid))
"""


def python(
    program: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    limit: int = PAYLOAD_MAX_BYTES,
    **options: Unpack[HookOptions],
) -> Hook:
    """A hook that may do anything, as a program of Python."""
    said: HookOptions = {"capability": "rewrite", **options}
    return command_hook(
        id="h",
        point="run_completed",
        command=[sys.executable, "-I", "-c", program, *args],
        env=env,
        payload_max_bytes=limit,
        **said,
    )


async def failure_of(hook: Hook, call: HookCall = END) -> str:
    with pytest.raises(HookExecutionFailed) as failed:
        await hook.run(call)
    return str(failed.value)


def is_at_work(pid: int) -> bool:
    """Whether it has not ended, or at most waits to be buried by somebody else."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return told.rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int) -> None:
    """Waits for the end of a process that is not ours to wait for."""
    while is_at_work(pid):
        await asyncio.sleep(0.01)


def noted(path: Path) -> int:
    """The number in a file, 0 while there is none."""
    return int(path.read_text() or "0") if path.exists() else 0


async def until(path: Path) -> int:
    """The number that will be in a file."""
    while not noted(path):
        await asyncio.sleep(0.01)
    return noted(path)


# -- told and heard ----------------------------------------------------------------------------


async def test_a_program_reads_the_call_and_its_answer_is_applied() -> None:
    hook = python(
        "import json, sys; told = json.load(sys.stdin);"
        "text = told['point'] + ' ' + told['text'];"
        "print(json.dumps({'patches': [{'patch_type': 'run_result', 'text': text}]}))"
    )
    bench = a_bench(["done"], hooks=[hook])
    assert (await bench.agent.run("go")).text == "run_completed done"


async def test_a_program_can_deny() -> None:
    deny = '{"decision": {"decision": "deny", "message": "no", "reason_code": "safety_violation"}}'
    hook = python(f"print('{deny}')", capability="guardrail")
    assert await hook.run(END) == Deny(message="no", reason_code="safety_violation")
    bench = a_bench(["done"], hooks=[hook])
    with pytest.raises(HookDenied, match="safety_violation"):
        await bench.agent.run("go")


async def test_one_that_need_not_read_and_says_nothing_is_an_observer() -> None:
    call = HookCall(point="run_completed", session_id="s", text="x" * 100_000)  # more than a pipe
    assert await python("pass", capability="observe").run(call) is None
    assert "cannot be taken" in await failure_of(python("pass", capability="guardrail"), call)


async def test_a_configured_command_is_started_with_its_arguments_and_no_shell() -> None:
    program = (
        "import sys, json;"
        "print(json.dumps({'patches': [{'patch_type': 'run_result', 'text': sys.argv[1]}]}))"
    )
    entry = {
        "id": "h",
        "point": "run_completed",
        "capability": "rewrite",
        "runtime": {
            "type": "command",
            "config": {"command": sys.executable, "args": ["-c", program, "$HOME; `id`"]},
        },
    }
    (hook,) = hooks_of(layered(read_hooks({"entries": [entry]})))
    assert await hook.run(END) == (RunResultPatch(text="$HOME; `id`"),)


async def test_its_environment_is_what_is_listed_and_what_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    program = (
        "import os, json, sys;"
        "names = ' '.join(os.environ);"
        "print(json.dumps({'patches': [{'patch_type': 'run_result', 'text': names}]}))"
    )
    answer = await python(program, env={"GIVEN": "1"}).run(END)
    assert isinstance(answer, tuple)
    (patch,) = answer
    assert isinstance(patch, RunResultPatch)
    found = set(patch.text.split())
    assert "GIVEN" in found
    assert found <= {*INHERITED, "GIVEN", "LC_CTYPE"}


# -- what goes wrong ---------------------------------------------------------------------------


async def test_one_that_fails_is_told_with_its_last_words() -> None:
    told = await failure_of(python("import sys; sys.exit('x' * 9000 + 'the end')"))
    assert "ended with 1: x" in told
    assert "the end; repair the hook, or disable it" in told
    assert len(told) < 2200


async def test_one_that_dies_is_told_with_the_signal() -> None:
    assert "was ended by signal 9" in await failure_of(python("import os; os.kill(os.getpid(), 9)"))


async def test_one_that_is_not_there_is_told() -> None:
    hook = command_hook(id="h", point="run_completed", command=["/no/such/program"])
    assert "'/no/such/program' cannot be started" in await failure_of(hook)
    with pytest.raises(InvalidParams, match="no program is named"):
        command_hook(id="h", point="run_completed", command=[])


async def test_one_that_writes_ten_megabytes_is_ended_and_no_more_is_read() -> None:
    program = "import sys\nfor _ in range(160): sys.stdout.write('x' * 65536)"
    assert "writes more than 1000 bytes" in await failure_of(python(program, limit=1000))


async def test_ten_megabytes_of_errors_are_no_fault_and_are_not_kept() -> None:
    program = "import sys\nfor _ in range(160): sys.stderr.write('x' * 65536)\nprint('{}')"
    assert await python(program).run(END) == ()


async def test_one_that_answers_rubbish_is_told_with_the_place() -> None:
    assert "this is not JSON" in await failure_of(python("print('rubbish')"))
    told = await failure_of(python("""print('{"patchs": []}')"""))
    assert "answer.patchs: unknown key 'patchs'; did you mean 'patches'?" in told


async def test_more_than_it_may_be_told_starts_nothing(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = python(f"open({str(ran)!r}, 'w')", limit=50)
    assert "bytes, and may be told 50" in await failure_of(hook)
    assert not ran.exists()


async def test_its_failure_is_the_hook_s_and_follows_its_policy() -> None:
    for policy in ("fail_open", "fail_closed"):
        bench = a_bench(["done"], hooks=[python("1/0", failure_policy=policy)])
        if policy == "fail_open":
            assert (await bench.agent.run("go")).text == "done"
        else:
            with pytest.raises(HookDenied, match="ZeroDivisionError"):
                await bench.agent.run("go")
        (told,) = [e for e in bench.said if isinstance(e, HookFailed)]
        assert told.error.startswith("the command ")


# -- nothing is left behind --------------------------------------------------------------------


async def test_one_that_never_ends_is_cut_off() -> None:
    hook = python("import time; time.sleep(60)", timeout_ms=200)
    said: list[AgentEvent] = []
    denied = await Hooks([hook], emit=said.append, clock=the_loop_s_clock).ask(END)
    assert denied is not None
    assert (denied.reason_code, denied.message) == (
        "timeout",
        "hook h failed: it took longer than 200 ms",
    )


async def test_who_stops_waiting_for_it_hears_when_it_has_ended(tmp_path: Path) -> None:
    """An interrupt, and a limit of time, are a cancellation."""
    note = tmp_path / "pid"
    asking = asyncio.ensure_future(python(NOTE + "time.sleep(60)", str(note)).run(END))
    pid = await until(note)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):  # it is not only dead, but awaited
        os.kill(pid, 0)


async def test_what_it_has_started_is_ended_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    asking = asyncio.ensure_future(python(SPAWN + "time.sleep(60)", str(note)).run(END))
    child = await until(note)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await gone(child)


async def test_what_it_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert await python(SPAWN + "print('{}')", str(note)).run(END) == ()
    await gone(noted(note))


async def test_what_has_left_its_group_and_holds_its_output_holds_nobody_up(
    tmp_path: Path,
) -> None:
    note = tmp_path / "pid"
    program = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(60)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
print("{}")
"""
    call = msgspec.structs.replace(END, text="x" * 100_000)  # that nobody reads
    asking = asyncio.ensure_future(python(program, str(note)).run(call))
    left = await until(note)
    try:
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    finally:
        os.kill(left, 9)


async def test_in_the_background_it_ends_with_the_agent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    late = msgspec.structs.replace(
        python(NOTE + "time.sleep(60)", str(note), timeout_ms=60_000),
        mode="background",
        failure_policy="fail_open",
    )
    hooks = Hooks([late], emit=lambda _: None, clock=the_loop_s_clock)
    assert await hooks.ask(END) is None
    pid = await until(note)
    await hooks.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_many_at_a_time_are_told_apart() -> None:
    program = (
        "import sys, json; told = json.load(sys.stdin);"
        "print(json.dumps({'patches': [{'patch_type': 'run_result', 'text': told['text']}]}))"
    )
    hook = python(program)
    calls = [msgspec.structs.replace(END, text=str(n)) for n in range(8)]
    answers = await asyncio.gather(*(hook.run(call) for call in calls))
    assert answers == [(RunResultPatch(text=str(n)),) for n in range(8)]
