"""The tools a member gets by its profile's flags, beside those for speaking to peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from meerkat_mob.comms import NoArguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import TaskRefused
from meerkat_mob.mob.facts import TaskStatus
from meerkat_mob.mob.journal import Journal
from meerkat_mob.mob.state import Command, require
from meerkat_mob.mob.tasks import MobTask

FactT = TypeVar("FactT")


class Tasks:
    """The task board of a mob, as its members and its owner use it.

    Changes need a running mob; looks never wait.
    """

    def __init__(self, journal: Journal, ids: Callable[[], str]) -> None:
        self._journal, self._ids = journal, ids

    async def create(
        self, subject: str, description: str = "", blocked_by: tuple[str, ...] = ()
    ) -> MobTask:
        """Puts a task on the board. Raises ``TaskRefused`` (T-1)."""
        task_id = self._ids()
        board = self._journal.board
        await self._journal.record(
            lambda: (self._in_time(board.creation(task_id, subject, description, blocked_by)),)
        )
        return self.get(task_id)

    async def update(self, task_id: str, status: TaskStatus, owner: str | None = None) -> MobTask:
        """Changes a task. Raises ``TaskRefused`` (T-2, T-4)."""
        board = self._journal.board
        await self._journal.record(lambda: (self._in_time(board.update(task_id, status, owner)),))
        return self.get(task_id)

    def list(self) -> tuple[MobTask, ...]:
        """All tasks, oldest first."""
        return self._journal.board.list()

    def get(self, task_id: str) -> MobTask:
        """One task. Raises ``TaskRefused`` when there is none of that id."""
        task = self._journal.board.get(task_id)
        if task is None:
            raise TaskRefused(f"no task {task_id!r}: list the board for the ids there are")
        return task

    def _in_time(self, fact: FactT) -> FactT:
        require(self._journal.state, Command.TASK)
        return fact


class CreateTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``mob_task_create``."""

    subject: Annotated[str, msgspec.Meta(description="What is to be done, in a few words.")]
    description: Annotated[str, msgspec.Meta(description="What else its owner must know.")] = ""
    blocked_by: Annotated[
        tuple[str, ...], msgspec.Meta(description="Ids of tasks to be completed first.")
    ] = ()


class UpdateTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``mob_task_update``."""

    task_id: str
    status: TaskStatus
    owner: Annotated[
        str | None, msgspec.Meta(description="Who does it; taken with in_progress only.")
    ] = None


class GetTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``mob_task_get``."""

    task_id: str


def task_tools(tasks: Tasks) -> tuple[Tool, ...]:
    """The board for one member (spec mob 4.1, task group)."""

    async def create(args: CreateTask) -> Json:
        task = await tasks.create(args.subject, args.description, args.blocked_by)
        return {"ok": True, "task_id": task.id}

    async def update(args: UpdateTask) -> Json:
        return {
            "ok": True,
            "task": _plain(await tasks.update(args.task_id, args.status, args.owner)),
        }

    async def read(args: GetTask) -> Json:
        return {"task": _plain(tasks.get(args.task_id))}

    async def read_all(args: NoArguments) -> Json:
        del args
        return {"tasks": [_plain(t) for t in tasks.list()]}

    origin = ToolProvenance(kind="mob", source_id="mob_tasks")
    return (
        typed_tool(
            "mob_task_create",
            "Put a task on the team's board.",
            CreateTask,
            create,
            provenance=origin,
        ),
        typed_tool(
            "mob_task_update",
            "Change a task's status, or claim it with in_progress and an owner.",
            UpdateTask,
            update,
            provenance=origin,
        ),
        typed_tool(
            "mob_task_list", "List the team's tasks.", NoArguments, read_all, provenance=origin
        ),
        typed_tool("mob_task_get", "Read one task.", GetTask, read, provenance=origin),
    )


def _plain(task: MobTask) -> Json:
    plain: Json = msgspec.to_builtins(task)
    return plain
