"""One session's inbox: one record per input, one table of its life, one queue.

An input is accepted once, is applied in the order of its lane and admission, and ends once
(INV-2). Everything here is decided without an ``await``; what lasts is written by the runtime.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.events import RunResult
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import Boundary, Input
from meerkat_mob.core.messages import ToolUseData
from meerkat_mob.errors import InboxFull, MeerkatError
from meerkat_mob.runtime.policy import Lane, Policy, goes_with

BOUND: Final = 1024
"""Inputs that have not ended yet, when nothing else is said; one more is refused."""
KEPT: Final = 1024
"""Records of ended inputs that stay readable."""
KEYS_KEPT: Final = 65_536
"""Idempotency keys of ended inputs that are still known: they outlive the records."""


class InputPhase(StrEnum):
    """Where an input stands."""

    QUEUED = "queued"
    STAGED = "staged"
    CONSUMED = "consumed"
    ABANDONED = "abandoned"


LEGAL: Final[Mapping[InputPhase, frozenset[InputPhase]]] = {
    InputPhase.QUEUED: frozenset({InputPhase.STAGED, InputPhase.CONSUMED, InputPhase.ABANDONED}),
    InputPhase.STAGED: frozenset({InputPhase.QUEUED, InputPhase.CONSUMED, InputPhase.ABANDONED}),
    InputPhase.CONSUMED: frozenset(),
    InputPhase.ABANDONED: frozenset(),
}

AbandonReason: TypeAlias = Literal[
    "retired",
    "reset",
    "stopped",
    "destroyed",
    "cancelled",
    "apply_failed",
    "max_attempts_exhausted",
]
ATTEMPTS: Final = 3
"""How often an input is tried whose run could not be kept, or did not live to its end (INP-1)."""


class Completed(msgspec.Struct, frozen=True, kw_only=True, tag="completed", tag_field="outcome"):
    """The run that applied the input has ended with a result."""

    result: RunResult


class CompletedWithoutResult(
    msgspec.Struct, frozen=True, kw_only=True, tag="completed_without_result", tag_field="outcome"
):
    """It was applied, and there was nothing to answer."""


class CallbackPending(
    msgspec.Struct, frozen=True, kw_only=True, tag="callback_pending", tag_field="outcome"
):
    """It was applied, and its run ended at calls that somebody else runs (LP-6)."""

    calls: tuple[ToolUseData, ...]


class Abandoned(msgspec.Struct, frozen=True, kw_only=True, tag="abandoned", tag_field="outcome"):
    """It ended without being answered; ``error`` is what the run failed with, if it did."""

    reason: AbandonReason
    error: MeerkatError | None = None


class RuntimeTerminated(
    msgspec.Struct, frozen=True, kw_only=True, tag="runtime_terminated", tag_field="outcome"
):
    """The runtime ended before the input could, which may wait for the next process."""

    reason: str
    waits: bool = False


Applied: TypeAlias = Completed | CompletedWithoutResult | CallbackPending
Outcome: TypeAlias = Applied | Abandoned | RuntimeTerminated


class InputRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an input. ``admission`` orders the queue; times in ms UTC.

    ``attempts`` are the runs it was staged for, ``recoveries`` the restarts that found it waiting.
    What is ``noted`` stands in the transcript although its run did not live to its end: the next
    one goes on from there.
    """

    item: Input
    policy: Policy
    admission: int
    phase: InputPhase = InputPhase.QUEUED
    run_id: str | None = None
    outcome: Outcome | None = None
    attempts: int = 0
    recoveries: int = 0
    noted: bool = False
    created_at: int = 0
    updated_at: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs that one run applies together, in order; ``resumes`` if what they say is noted."""

    records: tuple[InputRecord, ...]
    boundary: Boundary
    resumes: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its inputs."""
        return tuple(r.item.header.id for r in self.records)


class Inbox:
    """The queue and its records. ``changed`` is told of each that came to another phase."""

    def __init__(
        self,
        session_id: str,
        changed: Callable[[InputRecord], None],
        *,
        clock: Clock,
        keys_kept: int = KEYS_KEPT,
        bound: int = BOUND,
    ) -> None:
        self._session_id, self._changed, self._keys_kept = session_id, changed, keys_kept
        self._clock, self._bound = clock, bound
        self._records: dict[str, InputRecord] = {}
        self._keys: dict[str, str] = {}
        self._lanes: dict[Lane, deque[str]] = {"steer": deque(), "queue": deque()}
        self._noted: list[str] = []
        self._finished: deque[str] = deque()
        self._finished_keys: deque[str] = deque()
        self._arriving = 0
        self._admissions = 0
        self._wakers = 0
        self.is_still = False
        """While it is, no run takes anything out: what becomes of the queue is being kept."""

    # -- in ------------------------------------------------------------------------------------

    def known(self, item: Input) -> str | None:
        """The id of the earlier input with the same id or idempotency key, if there was one."""
        if item.header.id in self._records:
            return item.header.id
        key = item.header.idempotency_key
        return None if key is UNSET else self._keys.get(key)

    @property
    def is_full(self) -> bool:
        """Whether one more would be refused."""
        return len(self._records) - len(self._finished) + self._arriving >= self._bound

    def make_room(self) -> int:
        """A place in the queue, for an input that is about to be kept.

        Raises ``InboxFull`` and changes nothing at the bound.
        """
        if self.is_full:
            raise InboxFull(session_id=self._session_id, bound=self._bound)
        self._arriving += 1
        self._admissions += 1
        return self._admissions

    def give_up_room(self) -> None:
        """The input came, or will not come."""
        self._arriving -= 1

    def admit(self, item: Input, policy: Policy, admission: int) -> InputRecord:
        """Takes an input into its lane. It was kept before.

        What is consumed on acceptance has ended with it.
        """
        now = self._clock()
        record = InputRecord(
            item=item, policy=policy, admission=admission, created_at=now, updated_at=now
        )
        self._put(record)
        if policy.consumed == "on_accept":
            self._end(record, CompletedWithoutResult())
        else:
            self._queue(record)
            self._changed(record)
        return record

    def restore(self, record: InputRecord) -> None:
        """Takes an input as a restart found it, in the order of admission."""
        self._admissions = max(self._admissions, record.admission)
        self._put(record)
        if record.phase is InputPhase.QUEUED:
            self._queue(record)
        else:
            self._forget_old(record.item.header.id, record.item.header.idempotency_key)

    def _put(self, record: InputRecord) -> None:
        header = record.item.header
        self._records[header.id] = record
        if header.idempotency_key is not UNSET:
            self._keys[header.idempotency_key] = header.id

    def _queue(self, record: InputRecord) -> None:
        input_id = record.item.header.id
        if record.noted:
            self._noted.append(input_id)
        else:
            self._lanes[record.policy.lane].append(input_id)
        self._wakers += record.policy.wakes

    # -- out -----------------------------------------------------------------------------------

    @property
    def runnable(self) -> bool:
        """Whether something queued asks for a run."""
        return self._wakers > 0 or bool(self._noted)

    def take(self, run_id: str) -> Batch:
        """Stages the next batch for a run. Only while ``runnable``.

        What an earlier run noted comes first, then the steer lane. What is passive goes in front
        of the first input that is not, and a prompt is otherwise alone.
        """
        if self._noted:
            noted, self._noted = self._noted, []
            return self._batch(noted, run_id, "run_start", resumes=True)
        steer, queue = self._lanes["steer"], self._lanes["queue"]
        passive = [i for lane in (queue, steer) for i in self._pop_passive(lane)]
        lane = steer or queue
        first = self._records[lane[0]]
        active = [lane.popleft()]
        while lane and goes_with(first.policy, self._records[lane[0]].policy):
            active.append(lane.popleft())
        return self._batch(passive + active, run_id, first.policy.boundary)

    def take_steering(self, run_id: str) -> tuple[InputRecord, ...]:
        """Stages what is to join the run that goes on: the steer lane, in order."""
        if self.is_still:
            return ()
        lane = self._lanes["steer"]
        taken = list(lane)
        lane.clear()
        return self._batch(taken, run_id, "run_checkpoint").records

    def _batch(
        self, ids: Sequence[str], run_id: str, boundary: Boundary, *, resumes: bool = False
    ) -> Batch:
        records = tuple(self._move(i, InputPhase.STAGED, run_id=run_id) for i in ids)
        self._wakers -= sum(r.policy.wakes for r in records)
        for record in records:
            self._changed(record)
        return Batch(records=records, boundary=boundary, resumes=resumes)

    def _pop_passive(self, lane: deque[str]) -> list[str]:
        found: list[str] = []
        while lane and not self._records[lane[0]].policy.wakes:
            found.append(lane.popleft())
        return found

    def put_back(self, ids: Sequence[str], *, noted: bool) -> None:
        """Queues staged inputs again, at the places they had (W6)."""
        records = [self._move(input_id, InputPhase.QUEUED, noted=noted) for input_id in ids]
        for record in records:
            self._queue(record)
        for lane in self._lanes.values():
            ordered = sorted(lane, key=lambda i: self._records[i].admission)
            lane.clear()
            lane.extend(ordered)
        for record in records:
            self._changed(record)

    def end(self, input_id: str, outcome: Outcome) -> None:
        """Ends an input, queued or staged. Its record stays for a while, its key for longer."""
        record = self._records[input_id]
        if record.phase is InputPhase.QUEUED:
            if isinstance(outcome, Applied):
                raise AssertionError(f"input {input_id} cannot go from queued to consumed")
            (self._noted if record.noted else self._lanes[record.policy.lane]).remove(input_id)
            self._wakers -= record.policy.wakes
        self._end(record, outcome)

    def _end(self, record: InputRecord, outcome: Outcome) -> None:
        applied = isinstance(outcome, Applied)
        phase = InputPhase.CONSUMED if applied else InputPhase.ABANDONED
        header = record.item.header
        ended = self._move(header.id, phase, outcome=outcome)
        self._forget_old(header.id, header.idempotency_key)
        self._changed(ended)

    def _forget_old(self, input_id: str, key: str | UnsetType) -> None:
        self._finished.append(input_id)
        while len(self._finished) > KEPT:
            del self._records[self._finished.popleft()]
        if key is not UNSET:
            self._finished_keys.append(key)
        while len(self._finished_keys) > self._keys_kept:
            del self._keys[self._finished_keys.popleft()]

    def _move(
        self,
        input_id: str,
        phase: InputPhase,
        *,
        run_id: str | None = None,
        outcome: Outcome | None = None,
        noted: bool | None = None,
    ) -> InputRecord:
        record = self._records[input_id]
        if phase not in LEGAL[record.phase]:
            raise AssertionError(f"input {input_id} cannot go from {record.phase} to {phase}")
        moved = msgspec.structs.replace(
            record,
            phase=phase,
            run_id=run_id or record.run_id,
            outcome=outcome,
            attempts=record.attempts + (phase is InputPhase.STAGED),
            noted=record.noted if noted is None else noted,
            updated_at=self._clock(),
        )
        self._records[input_id] = moved
        return moved

    # -- looks ---------------------------------------------------------------------------------

    def state(self, input_id: str) -> InputRecord | None:
        """The record of an input; None when unknown or ended long ago."""
        return self._records.get(input_id)

    def queued(self) -> tuple[str, ...]:
        """The ids of inputs that wait, in no order that means anything."""
        return tuple(i for i, r in self._records.items() if r.phase is InputPhase.QUEUED)

    def active(self) -> tuple[InputRecord, ...]:
        """Inputs that have not ended, in admission order."""
        found = (r for r in self._records.values() if LEGAL[r.phase])
        return tuple(sorted(found, key=lambda r: r.admission))
