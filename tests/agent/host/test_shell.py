"""Commands and jobs: what they say, how long they take, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import cast

import msgspec
import pytest

from meerkat_mob.agent import ToolSet
from meerkat_mob.agent.shell import Shell, ShellJobs, ShellLimits
from meerkat_mob.agent.shell.jobs import JobStatus
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import InvalidParams, ToolFailed
from meerkat_mob.llm import ScriptedLlm, call
from tests.agent.kit import a_bench, open_calls

pytestmark = pytest.mark.native_only


class Board:
    """Who is told of jobs."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.refuses = False
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.answers.set()

    async def began(self, job_id: str, name: str) -> None:
        self.asked.set()
        await self.answers.wait()
        if self.refuses:
            raise ToolFailed("no more jobs")
        self.told.append((job_id, name))

    async def ended(self, job_id: str, status: JobStatus, detail: str) -> None:
        del detail
        self.told.append((job_id, status))


class Desk:
    """A shell and its tools."""

    def __init__(
        self, root: Path, env: Mapping[str, str] | None = None, limits: ShellLimits | None = None
    ) -> None:
        self.board, names = Board(), count(1)
        shell = Shell(root, env=env, limits=limits)
        self.jobs: ShellJobs = shell.jobs(self.board, ids=lambda: f"job-{next(names)}")
        self.tools = ToolSet(shell.tools(self.jobs))

    async def outcome(self, tool: str, **args: Json) -> ToolOutcome:
        raw = msgspec.Raw(msgspec.json.encode(args))
        return await self.tools.dispatch(ToolCall(id="c", name=tool, args=raw))

    async def told(self, tool: str, **args: Json) -> dict[str, Json]:
        outcome = await self.outcome(tool, **args)
        return cast("dict[str, Json]", msgspec.json.decode(str(outcome.content)))

    async def run(self, command: str, **args: Json) -> dict[str, Json]:
        return await self.told("shell", command=command, **args)


@asynccontextmanager
async def a_desk(
    root: Path, *, env: Mapping[str, str] | None = None, limits: ShellLimits | None = None
) -> AsyncGenerator[Desk, None]:
    desk = Desk(root, env, limits)
    try:
        yield desk
    finally:
        await desk.jobs.aclose()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def gone(file: Path) -> None:
    """Waits until the process that wrote its id there has gone."""
    pid = int(file.read_text())
    for _ in range(500):
        if not is_alive(pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


async def written(file: Path) -> None:
    while not (file.exists() and file.read_text().strip()):
        await asyncio.sleep(0.01)


# -- what a command says -------------------------------------------------------------------------


async def test_a_command_says_how_it_ended_and_what_it_wrote(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        assert await desk.run("echo hi; echo no >&2; exit 3") == {
            "exit_code": 3,
            "stdout": "hi\n",
            "stderr": "no\n",
        }
        assert (await desk.run("kill -9 $$"))["exit_code"] == -9
        assert (await desk.run("cat"))["stdout"] == ""
        assert (await desk.run("printf '\\377a'"))["stdout"] == "\ufffda"
        assert not (await desk.outcome("shell", command="exit 1")).is_error


async def test_it_begins_in_a_folder_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "out").symlink_to("/")
    (tmp_path / "file").write_text("x")
    async with a_desk(tmp_path) as desk:
        assert (await desk.run("pwd"))["stdout"] == f"{tmp_path.resolve()}\n"
        there = await desk.run("pwd", working_dir="inner")
        assert there["stdout"] == f"{tmp_path.resolve()}/inner\n"
        for folder in ("..", "/", "out", "ghost", "file", "inner/../..", "\0", "a" * 5000):
            outcome = await desk.outcome("shell", command="pwd", working_dir=folder)
            assert outcome.is_error
            assert "no folder below the root" in str(outcome.content)


async def test_it_has_what_it_was_given_and_none_of_our_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with a_desk(tmp_path, env={"TEAM": "blue"}) as desk:
        said = str((await desk.run("env"))["stdout"])
        assert "TEAM=blue" in said
        assert "PATH=" in said
        assert "sk-secret" not in said


async def test_of_a_long_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    async with a_desk(tmp_path, limits=ShellLimits(output_bytes=1000)) as desk:
        said = str((await desk.run("echo first; yes | head -c 20000000; echo last"))["stdout"])
        assert said.startswith("first\ny\n")
        assert said.endswith("y\nlast\n")
        assert "[… 19999011 bytes left out …]" in said
        assert len(said) < 1100
        assert (await desk.run("head -c 1000 /dev/zero | tr '\\0' x"))["stdout"] == "x" * 1000


async def test_a_character_across_the_middle_stays_whole_when_nothing_is_left_out(
    tmp_path: Path,
) -> None:
    async with a_desk(tmp_path, limits=ShellLimits(output_bytes=200)) as desk:
        assert (await desk.run(f"printf %s {'a' + 'é' * 60}"))["stdout"] == "a" + "é" * 60


async def test_an_environment_that_no_process_can_have_is_told(tmp_path: Path) -> None:
    async with a_desk(tmp_path, env={"A": "a\0b"}) as desk:
        assert "cannot be started" in str((await desk.outcome("shell", command="ls")).content)
        await desk.run("ls", background=True)
        await asyncio.wait([cast("asyncio.Task[None]", desk.jobs.find("job-1").task)])
        status = await desk.told("shell_job_status", job_id="job-1")
        assert (status["status"], status["error"]) == ("failed", "embedded null byte")
        assert desk.board.told[1:] == [("job-1", "failed")]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"command": ""}, "command"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "ls", "timeout_secs": 0}, "timeout_secs"),
        ({"command": "ls", "cwd": "."}, "cwd"),
        ({}, "command"),
    ],
)
async def test_what_cannot_be_run_is_refused(
    tmp_path: Path, args: dict[str, Json], told: str
) -> None:
    async with a_desk(tmp_path) as desk:
        outcome = await desk.outcome("shell", **args)
        assert outcome.is_error
        assert "invalid_arguments" in str(outcome.content)
        assert told in str(outcome.content)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="is no folder"):
        Shell(tmp_path / "ghost")


# -- how it ends ---------------------------------------------------------------------------------

STUBBORN = "trap '' TERM; sleep 60 & echo $! > child; echo $$ > shell; while :; do sleep 1; done"


async def test_one_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    async with a_desk(tmp_path, limits=ShellLimits(longest=0.5)) as desk:
        ended = await desk.run(f"echo on; {STUBBORN}", timeout_secs=1000)
        assert (ended["timed_out"], ended["stdout"]) == (True, "on\n")
        await gone(tmp_path / "shell")
        await gone(tmp_path / "child")


async def test_one_that_may_clean_up_does(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        clean = "trap 'echo clean; exit 7' TERM; while :; do sleep 0.05; done"
        ended = await desk.run(clean, timeout_secs=0.3)
        assert (ended["exit_code"], ended["stdout"], ended["timed_out"]) == (7, "clean\n", True)


async def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        ended = await desk.run("sleep 60 & echo $! > child; echo done")
        assert ended["stdout"] == "done\n"
        await gone(tmp_path / "child")


async def test_what_has_left_its_group_is_neither_waited_for_nor_counted_as_its_time(
    tmp_path: Path,
) -> None:
    leave = "setsid sh -c 'echo $$ > child; exec sleep 60' & while [ ! -s child ]; do :; done"
    async with a_desk(tmp_path) as desk:
        ended = await desk.run(f"{leave}; echo done", timeout_secs=1.5)
        os.kill(int((tmp_path / "child").read_text()), 9)
        assert ended == {"exit_code": 0, "stdout": "done\n", "stderr": ""}


async def test_an_interrupted_run_ends_its_command_at_once(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    jobs = shell.jobs(Board(), ids=lambda: "job")
    llm = ScriptedLlm([call("shell", command=STUBBORN)])
    bench = a_bench(llm, *shell.tools(jobs))
    run = asyncio.ensure_future(bench.agent.run("go"))
    await written(tmp_path / "shell")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await gone(tmp_path / "shell")
    await gone(tmp_path / "child")
    assert open_calls(bench.transcript) == []


async def test_many_at_once_get_in_nobody_s_way(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        said = await asyncio.gather(*(desk.run(f"echo {n}; sleep 0.05") for n in range(30)))
        assert [one["stdout"] for one in said] == [f"{n}\n" for n in range(30)]


# -- jobs ----------------------------------------------------------------------------------------


async def test_a_job_goes_on_and_tells_how_it_stands(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        command = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 4"
        assert await desk.run(command, background=True) == {"job_id": "job-1", "status": "running"}
        while True:
            status = await desk.told("shell_job_status", job_id="job-1")
            if status["stdout"]:
                break
            await asyncio.sleep(0.01)
        assert (status["status"], status["stdout"]) == ("running", "one\n")
        (tmp_path / "go").touch()
        await asyncio.wait([cast("asyncio.Task[None]", desk.jobs.find("job-1").task)])
        status = await desk.told("shell_job_status", job_id="job-1")
        assert (status["status"], status["exit_code"]) == ("failed", 4)
        assert status["stdout"] == "one\ntwo\n"
        assert desk.board.told == [("job-1", command), ("job-1", "failed")]
        assert await desk.told("shell_jobs") == {
            "jobs": [{"job_id": "job-1", "status": "failed", "command": command}]
        }


async def test_a_job_is_cancelled_with_all_it_started(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.run(STUBBORN, background=True)
        await written(tmp_path / "shell")
        assert (await desk.told("shell_job_cancel", job_id="job-1"))["status"] == "cancelled"
        await gone(tmp_path / "shell")
        await gone(tmp_path / "child")
        assert (await desk.told("shell_job_cancel", job_id="job-1"))["status"] == "cancelled"
        assert desk.board.told[1:] == [("job-1", "cancelled")]


async def test_jobs_end_with_their_member(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.run(STUBBORN, background=True)
        await written(tmp_path / "shell")
        await desk.run("sleep 60", background=True)  # not begun when it is ended
        await desk.jobs.aclose()
        await gone(tmp_path / "shell")
        assert [status for _, status in desk.board.told[2:]] == ["cancelled", "cancelled"]
        assert (await desk.outcome("shell", command="ls", background=True)).is_error


@pytest.mark.parametrize("closed", [True, False])
async def test_a_job_cancelled_before_it_began_never_begins(tmp_path: Path, closed: bool) -> None:
    async with a_desk(tmp_path) as desk:
        desk.board.answers.clear()
        start = asyncio.ensure_future(desk.run("touch begun", background=True))
        await desk.board.asked.wait()
        await (desk.jobs.aclose() if closed else desk.jobs.cancel("job-1"))
        desk.board.answers.set()
        assert await start == {"job_id": "job-1", "status": "cancelled"}
        assert desk.jobs.find("job-1").task is None
        assert desk.board.told == [("job-1", "touch begun"), ("job-1", "cancelled")]
        assert not (tmp_path / "begun").exists()


async def test_a_job_has_its_time_and_only_so_many_run(tmp_path: Path) -> None:
    async with a_desk(tmp_path, limits=ShellLimits(jobs=1, job_longest=0.2)) as desk:
        await desk.run("sleep 60", background=True, timeout_secs=1000)
        full = await desk.outcome("shell", command="ls", background=True)
        assert "no more may begin" in str(full.content)
        await asyncio.wait([cast("asyncio.Task[None]", desk.jobs.find("job-1").task)])
        assert desk.jobs.find("job-1").status == "timed_out"
        assert (await desk.run("true", background=True))["job_id"] == "job-2"


async def test_a_job_nobody_takes_does_not_begin(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.board.refuses = True
        outcome = await desk.outcome("shell", command="touch begun", background=True)
        assert "no more jobs" in str(outcome.content)
        assert desk.jobs.list() == ()
        assert not (tmp_path / "begun").exists()


async def test_a_job_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        for tool in ("shell_job_status", "shell_job_cancel"):
            outcome = await desk.outcome(tool, job_id="job-9")
            assert "no job 'job-9'; there are: none" in str(outcome.content)
