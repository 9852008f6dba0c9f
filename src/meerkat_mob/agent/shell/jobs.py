"""Commands that go on while their member does something else.

They live in this process and end with it. A board is told of each, so that the member learns of an
end also when nobody asks (spec sessions 5.12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import msgspec

from meerkat_mob.agent.shell.process import Command, Ended
from meerkat_mob.errors import InvalidParams, ToolFailed

JobStatus: TypeAlias = Literal["running", "completed", "failed", "timed_out", "cancelled"]
REMEMBERED = 100
"""Ended jobs whose output can still be asked for."""


class JobBoard(Protocol):
    """Who is told of jobs."""

    async def began(self, job_id: str, name: str) -> None:
        """A job is about to begin. Raises ``MeerkatError`` when it must not."""
        ...

    async def ended(self, job_id: str, status: JobStatus, detail: str) -> None:
        """It has ended."""
        ...


class Job(msgspec.Struct, kw_only=True):
    """A command in the background."""

    id: str
    command: str
    process: Command
    status: JobStatus = "running"
    ended: Ended | None = None
    fault: str = ""
    task: asyncio.Task[None] | None = None


class ShellJobs:
    """The jobs of one member. ``ids`` mints their names."""

    def __init__(self, board: JobBoard, *, ids: Callable[[], str], most: int) -> None:
        self._board, self._ids, self._most = board, ids, most
        self._jobs: dict[str, Job] = {}
        self._closed = False

    async def start(self, command: str, process: Command, seconds: float) -> Job:
        """Starts a job, and returns at once. Raises ``ToolFailed`` when too many are at work.

        One that is cancelled while the board is told of it never begins.
        """
        busy = [job for job in self._jobs.values() if job.status == "running"]
        if self._closed or len(busy) >= self._most:
            raise ToolFailed(f"{len(busy)} jobs are at work, and no more may begin: cancel one")
        job = Job(id=self._ids(), command=command, process=process)
        self._jobs[job.id] = job
        try:
            await self._board.began(job.id, command)
        except BaseException:
            del self._jobs[job.id]
            raise
        if job.status == "running":
            job.task = asyncio.create_task(self._follow(job, seconds), name=f"job {job.id}")
        else:
            await self._board.ended(job.id, job.status, self._detail(job))
        self._forget_old()
        return job

    async def _follow(self, job: Job, seconds: float) -> None:
        try:
            job.ended = await job.process.run(seconds)
            fine = job.ended.exit_code == 0
            job.status = "timed_out" if job.ended.timed_out else "completed" if fine else "failed"
        except asyncio.CancelledError:
            job.status = "cancelled"
        except (OSError, ValueError) as fault:
            job.status, job.fault = "failed", str(fault)
        await self._board.ended(job.id, job.status, self._detail(job))

    def _detail(self, job: Job) -> str:
        code = "" if job.ended is None else f" with {job.ended.exit_code}"
        return f"{job.command!r} {job.status}{code}; shell_job_status has its output"

    def _forget_old(self) -> None:
        over = [job.id for job in self._jobs.values() if job.status != "running"]
        for job_id in over[:-REMEMBERED]:
            del self._jobs[job_id]

    def find(self, job_id: str) -> Job:
        """A job. Raises ``InvalidParams``, naming those there are."""
        if job_id not in self._jobs:
            known = ", ".join(self._jobs) or "none"
            raise InvalidParams(
                what=f"no job {job_id!r}", path="job_id", hint=f"there are: {known}"
            )
        return self._jobs[job_id]

    def list(self) -> tuple[Job, ...]:
        """All that are remembered, oldest first."""
        return tuple(self._jobs.values())

    async def cancel(self, job_id: str) -> Job:
        """Ends a job, and waits until it has. One that has ended stays as it is."""
        job = self.find(job_id)
        if job.task is None and job.status == "running":  # its board is being told of it
            job.status = "cancelled"
        elif job.task is not None and not job.task.done():
            job.task.cancel()
            await asyncio.wait([job.task])
            if job.status == "running":  # it was ended before it had begun
                job.status = "cancelled"
                await self._board.ended(job.id, job.status, self._detail(job))
        return job

    async def aclose(self) -> None:
        """Ends all of them; no more begin. Idempotent."""
        self._closed = True
        for job in self.list():
            await self.cancel(job.id)
