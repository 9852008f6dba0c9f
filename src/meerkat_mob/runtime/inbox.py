"""One session's inbox: one record per input, one table of its life, one queue.

An input is accepted once, is applied in the order of its lane and admission, and ends once
(INV-2). Everything here is decided without an ``await``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.events import RunResult
from meerkat_mob.core.inputs import Boundary, Input
from meerkat_mob.errors import InboxFull, MeerkatError
from meerkat_mob.runtime.policy import Policy

BOUND: Final = 1024
"""Inputs that have not ended yet; one more is refused."""
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
    InputPhase.QUEUED: frozenset({InputPhase.STAGED, InputPhase.ABANDONED}),
    InputPhase.STAGED: frozenset({InputPhase.CONSUMED, InputPhase.ABANDONED}),
    InputPhase.CONSUMED: frozenset(),
    InputPhase.ABANDONED: frozenset(),
}

AbandonReason: TypeAlias = Literal["retired", "destroyed", "cancelled", "apply_failed"]


class Completed(msgspec.Struct, frozen=True, kw_only=True, tag="completed", tag_field="outcome"):
    """The run that applied the input has ended with a result."""

    result: RunResult


class CompletedWithoutResult(
    msgspec.Struct, frozen=True, kw_only=True, tag="completed_without_result", tag_field="outcome"
):
    """It was applied, and there was nothing to answer."""


class Abandoned(msgspec.Struct, frozen=True, kw_only=True, tag="abandoned", tag_field="outcome"):
    """It ended without being answered; ``error`` is what the run failed with, if it did."""

    reason: AbandonReason
    error: MeerkatError | None = None


class RuntimeTerminated(
    msgspec.Struct, frozen=True, kw_only=True, tag="runtime_terminated", tag_field="outcome"
):
    """The runtime ended before the input could."""

    reason: str


Outcome: TypeAlias = Completed | CompletedWithoutResult | Abandoned | RuntimeTerminated


class InputRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an input. ``admission`` orders the queue."""

    item: Input
    policy: Policy
    admission: int
    phase: InputPhase = InputPhase.QUEUED
    run_id: str | None = None
    outcome: Outcome | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs that one run applies together, in order."""

    records: tuple[InputRecord, ...]
    boundary: Boundary

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its inputs."""
        return tuple(r.item.header.id for r in self.records)


class Inbox:
    """The queue and its records. ``ended`` is told of each input that ends."""

    def __init__(
        self,
        session_id: str,
        ended: Callable[[InputRecord], None],
        *,
        keys_kept: int = KEYS_KEPT,
    ) -> None:
        self._session_id, self._ended, self._keys_kept = session_id, ended, keys_kept
        self._records: dict[str, InputRecord] = {}
        self._keys: dict[str, str] = {}
        self._lanes: dict[str, deque[str]] = {"steer": deque(), "queue": deque()}
        self._finished: deque[str] = deque()
        self._finished_keys: deque[str] = deque()
        self._admissions = 0
        self._wakers = 0

    # -- in ------------------------------------------------------------------------------------

    def known(self, item: Input) -> str | None:
        """The id of the earlier input with the same id or idempotency key, if there was one."""
        if item.header.id in self._records:
            return item.header.id
        key = item.header.idempotency_key
        return None if key is UNSET else self._keys.get(key)

    def admit(self, item: Input, policy: Policy) -> InputRecord:
        """Takes an input into its lane. Raises ``InboxFull`` and changes nothing at the bound."""
        if len(self._records) - len(self._finished) >= BOUND:
            raise InboxFull(session_id=self._session_id, bound=BOUND)
        self._admissions += 1
        record = InputRecord(item=item, policy=policy, admission=self._admissions)
        self._records[item.header.id] = record
        if item.header.idempotency_key is not UNSET:
            self._keys[item.header.idempotency_key] = item.header.id
        self._lanes[policy.lane].append(item.header.id)
        self._wakers += policy.wakes
        return record

    # -- out -----------------------------------------------------------------------------------

    @property
    def runnable(self) -> bool:
        """Whether something queued asks for a run."""
        return self._wakers > 0

    def take(self, run_id: str) -> Batch:
        """Stages the next batch for a run. Only while ``runnable``.

        The steer lane goes first. What is passive goes in front of the first input that is not,
        and a prompt is otherwise alone.
        """
        steer, queue = self._lanes["steer"], self._lanes["queue"]
        passive = [i for lane in (queue, steer) for i in self._pop_passive(lane)]
        lane = steer or queue
        first = self._records[lane[0]]
        active = [lane.popleft()]
        while lane and not (first.policy.alone or self._records[lane[0]].policy.alone):
            active.append(lane.popleft())
        taken = tuple(self._move(i, InputPhase.STAGED, run_id=run_id) for i in passive + active)
        self._wakers -= sum(r.policy.wakes for r in taken)
        return Batch(records=taken, boundary=first.policy.boundary)

    def _pop_passive(self, lane: deque[str]) -> list[str]:
        found: list[str] = []
        while lane and not self._records[lane[0]].policy.wakes:
            found.append(lane.popleft())
        return found

    def end(self, input_id: str, outcome: Outcome) -> None:
        """Ends an input, queued or staged. Its record stays for a while, its key for longer."""
        before = self._records[input_id]
        applied = isinstance(outcome, Completed | CompletedWithoutResult)
        phase = InputPhase.CONSUMED if applied else InputPhase.ABANDONED
        record = self._move(input_id, phase, outcome=outcome)
        if before.phase is InputPhase.QUEUED:
            self._lanes[record.policy.lane].remove(input_id)
            self._wakers -= record.policy.wakes
        self._forget_old(input_id, record.item.header.idempotency_key)
        self._ended(record)

    def _forget_old(self, input_id: str, key: str | UnsetType) -> None:
        self._finished.append(input_id)
        while len(self._finished) > KEPT:
            del self._records[self._finished.popleft()]
        if key is not UNSET:
            self._finished_keys.append(key)
        while len(self._finished_keys) > self._keys_kept:
            del self._keys[self._finished_keys.popleft()]

    def end_all(self, outcome: Outcome) -> int:
        """Ends every input that has not ended; returns how many those were."""
        active = [i for i, r in self._records.items() if LEGAL[r.phase]]
        for input_id in active:
            self.end(input_id, outcome)
        return len(active)

    def _move(
        self,
        input_id: str,
        phase: InputPhase,
        *,
        run_id: str | None = None,
        outcome: Outcome | None = None,
    ) -> InputRecord:
        record = self._records[input_id]
        if phase not in LEGAL[record.phase]:
            raise AssertionError(f"input {input_id} cannot go from {record.phase} to {phase}")
        moved = msgspec.structs.replace(
            record, phase=phase, run_id=run_id or record.run_id, outcome=outcome
        )
        self._records[input_id] = moved
        return moved

    # -- looks ---------------------------------------------------------------------------------

    def state(self, input_id: str) -> InputRecord | None:
        """The record of an input; None when unknown or ended long ago."""
        return self._records.get(input_id)

    def active(self) -> tuple[InputRecord, ...]:
        """Inputs that have not ended, in admission order."""
        return tuple(r for r in self._records.values() if LEGAL[r.phase])
