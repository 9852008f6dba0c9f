"""The shared task board: a fold over task facts, and the rules for the next one (spec mob 1.7)."""

from __future__ import annotations

import msgspec

from meerkat_mob.errors import TaskRefused
from meerkat_mob.mob.facts import Fact, MobReset, TaskCreated, TaskStatus, TaskUpdated


class MobTask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task. ``owner`` is always encoded; times in ms UTC."""

    id: str
    subject: str
    description: str
    status: TaskStatus
    owner: str | None
    blocked_by: tuple[str, ...]
    created_at: int
    updated_at: int


class TaskBoard:
    """The tasks, in the order they were made."""

    def __init__(self) -> None:
        self._tasks: dict[str, MobTask] = {}

    def apply(self, fact: Fact, at: int) -> None:
        """Folds one fact in; an update of an unknown task changes nothing."""
        match fact:
            case TaskCreated():
                self._tasks[fact.task_id] = MobTask(
                    id=fact.task_id,
                    subject=fact.subject,
                    description=fact.description,
                    status="open",
                    owner=None,
                    blocked_by=fact.blocked_by,
                    created_at=at,
                    updated_at=at,
                )
            case TaskUpdated() if task := self._tasks.get(fact.task_id):
                self._tasks[task.id] = msgspec.structs.replace(
                    task, status=fact.status, owner=fact.owner, updated_at=at
                )
            case MobReset():
                self._tasks.clear()
            case _:
                pass

    def list(self) -> tuple[MobTask, ...]:
        """All tasks, oldest first."""
        return tuple(self._tasks.values())

    def get(self, task_id: str) -> MobTask | None:
        """A task by id."""
        return self._tasks.get(task_id)

    def creation(
        self, task_id: str, subject: str, description: str, blocked_by: tuple[str, ...]
    ) -> TaskCreated:
        """The fact of a new task.

        Raises ``TaskRefused`` for a blank subject (T-1) or an unknown dependency.
        """
        if not subject.strip():
            raise TaskRefused("a task needs a subject: say in a few words what is to be done")
        self._known(*blocked_by)
        return TaskCreated(
            task_id=task_id, subject=subject, description=description, blocked_by=blocked_by
        )

    def update(self, task_id: str, status: TaskStatus, owner: str | None) -> TaskUpdated:
        """The fact of a change.

        An owner is taken only with ``in_progress``; otherwise the present one stays (T-3). Raises
        ``TaskRefused`` for an unknown task (T-2), and for work begun before what it waits for is
        completed (T-4).
        """
        self._known(task_id)
        task = self._tasks[task_id]
        if status == "in_progress":
            self._unblocked(task)
            return TaskUpdated(task_id=task_id, status=status, owner=owner or task.owner)
        return TaskUpdated(task_id=task_id, status=status, owner=task.owner)

    def _known(self, *task_ids: str) -> None:
        for task_id in task_ids:
            if task_id not in self._tasks:
                raise TaskRefused(f"no task {task_id!r}: list the board for the ids there are")

    def _unblocked(self, task: MobTask) -> None:
        waits = [i for i in task.blocked_by if self._tasks[i].status != "completed"]
        if waits:
            raise TaskRefused(
                f"task {task.id!r} has incomplete dependencies: {', '.join(waits)}; "
                "complete them first"
            )
