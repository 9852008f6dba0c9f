"""The tools ``shell``, ``shell_jobs``, ``shell_job_status`` and ``shell_job_cancel``.

A shell is as powerful as the user who runs it: the root says where commands begin, and holds
nothing in. What keeps it from harm is the system's: a container, or a user without rights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from meerkat_mob import _target
from meerkat_mob.agent.processes import environment
from meerkat_mob.agent.shell.jobs import Job, JobBoard, ShellJobs
from meerkat_mob.agent.shell.limits import ShellLimits
from meerkat_mob.agent.shell.process import Command, Ended
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.strict import checked
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import CapabilityUnavailable, InvalidParams, ToolFailed

_ORIGIN: Final = ToolProvenance(kind="builtin", source_id="shell")


class RunCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``shell``."""

    command: Annotated[str, Meta(min_length=1, description="What /bin/sh runs. No input is given.")]
    working_dir: Annotated[str, Meta(description="A folder below the root.")] = "."
    timeout_secs: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Then it is ended, with all that it started."),
    ] = None
    background: Annotated[
        bool, Meta(description="Go on at once; shell_job_status tells how it stands.")
    ] = False


class OneJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``shell_job_status`` and ``shell_job_cancel``."""

    job_id: str


class AllJobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``shell_jobs``: none."""


class Shell:
    """Where commands begin, what they have of our environment, and how much they may take.

    Raises ``CapabilityUnavailable`` in a tab and on Windows, and ``InvalidParams`` for a root that
    is no folder and for limits that are none.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        env: Mapping[str, str] | None = None,
        limits: ShellLimits | None = None,
    ) -> None:
        if not _target.PROCESS_GROUPS:
            raise CapabilityUnavailable(
                capability="shell",
                why="this system has no groups of processes to end as one",
                instead="leave tools.shell out; members run without it",
            )
        self._root = Path(root).resolve()
        if not self._root.is_dir():
            raise InvalidParams(what=f"{root} is no folder", path="root", hint="make it first")
        self._env = dict(env or {})
        self._limits = checked(limits or ShellLimits(), path="limits")

    def jobs(self, board: JobBoard, *, ids: Callable[[], str]) -> ShellJobs:
        """The jobs of one member; close them when it ends."""
        return ShellJobs(board, ids=ids, most=self._limits.jobs)

    def tools(self, jobs: ShellJobs, *, env: Mapping[str, str] | None = None) -> tuple[Tool, ...]:
        """The tools of that member; its commands have ``env`` beside what all have."""

        async def run(args: RunCommand) -> Json:
            process, limits = self._command(args, env or {}), self._limits
            if args.background:
                seconds = args.timeout_secs or limits.job_longest
                job = await jobs.start(args.command, process, min(seconds, limits.job_longest))
                return {"job_id": job.id, "status": job.status}
            seconds = args.timeout_secs or limits.timeout
            try:
                return _told(await process.run(min(seconds, limits.longest)))
            except (OSError, ValueError) as fault:
                raise ToolFailed(f"the command cannot be started: {fault}") from fault

        async def show(args: OneJob) -> Json:
            return _job(jobs.find(args.job_id))

        async def cancel(args: OneJob) -> Json:
            return _job(await jobs.cancel(args.job_id))

        async def show_all(args: AllJobs) -> Json:
            del args
            told = [{"job_id": j.id, "status": j.status, "command": j.command} for j in jobs.list()]
            return {"jobs": told}

        return (
            typed_tool(
                "shell",
                "Run a command with /bin/sh. You get its exit code and what it wrote. What it "
                "leaves running ends with it, unless it runs in the background.",
                RunCommand,
                run,
                provenance=_ORIGIN,
            ),
            typed_tool(
                "shell_jobs",
                "List your commands in the background.",
                AllJobs,
                show_all,
                provenance=_ORIGIN,
            ),
            typed_tool(
                "shell_job_status",
                "How a command in the background stands, and what it wrote so far.",
                OneJob,
                show,
                provenance=_ORIGIN,
            ),
            typed_tool(
                "shell_job_cancel",
                "End a command in the background.",
                OneJob,
                cancel,
                provenance=_ORIGIN,
            ),
        )

    def _command(self, args: RunCommand, more: Mapping[str, str]) -> Command:
        """Raises ``InvalidParams`` for a folder that is not there, or not below the root."""
        if "\0" in args.command:
            raise InvalidParams(what="a command has no NUL", path="command", hint="take it out")
        try:
            folder = (self._root / args.working_dir).resolve()
            is_there = folder.is_dir()
        except (OSError, ValueError, RuntimeError):
            folder, is_there = self._root, False
        if not is_there or not folder.is_relative_to(self._root):
            raise InvalidParams(
                what=f"{args.working_dir!r} is no folder below the root",
                path="working_dir",
                hint="give a relative path of one that is there",
            )
        most = self._limits.output_bytes
        env = environment({**self._env, **more})
        return Command(args.command, folder=folder, env=env, output_bytes=most)


def _told(ended: Ended) -> dict[str, Json]:
    told: dict[str, Json] = {
        "exit_code": ended.exit_code,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
    }
    return told | ({"timed_out": True} if ended.timed_out else {})


def _job(job: Job) -> Json:
    told: dict[str, Json] = {"job_id": job.id, "status": job.status, "command": job.command}
    if job.ended is not None:
        return told | _told(job.ended)
    stdout, stderr = job.process.said
    return told | {"stdout": stdout, "stderr": stderr} | ({"error": job.fault} if job.fault else {})
