"""The operations of one session as a fold of their facts, and what may be written next.

The rule: a fact is decided on the book as it is and changes it only by ``apply``. So the book of
a living session and the one that a restart folds from the same facts are the same, progress that
was reported and not yet kept aside.

Facts carry their times, and those that end an operation their place in the feed; what is
forgotten (``RETENTION``) follows from the facts as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.errors import (
    OperationExists,
    OperationNotFound,
    OperationRefused,
    StoreCorrupt,
    TooManyOperations,
)
from meerkat_mob.runtime.operations.facts import (
    DECODERS,
    NEWEST,
    CursorsMoved,
    Ended,
    EpochBegan,
    OperationFact,
    PeerBecameReady,
    Registered,
    RetireRequested,
    Started,
)
from meerkat_mob.runtime.operations.feed import FeedBuffer, FeedEntry
from meerkat_mob.runtime.operations.model import (
    MOVE_TO,
    STEPS,
    Operation,
    OperationMove,
    OperationOutcome,
    OperationSpec,
    OperationStatus,
    PeerHandle,
    status_of,
)
from meerkat_mob.store import Record

RETENTION: Final = 256
"""Ended operations that are remembered (OPS-2)."""
FEED_AT_LEAST: Final = 1024
CONCURRENT: Final = 1024
"""Operations at work at a time; one more is refused."""

_replace = msgspec.structs.replace


class OperationBook:
    """What is known of one session's operations."""

    def __init__(self, session_id: str, *, retention: int = RETENTION) -> None:
        self.session_id = session_id
        self.epoch_id: str | None = None
        self.living: dict[str, Operation] = {}
        self.ended: OrderedDict[str, Operation] = OrderedDict()
        self.feed = FeedBuffer(max(4 * retention, FEED_AT_LEAST))
        self.agent_applied = 0
        self.collected = 0
        self._retention = retention

    # -- looks ---------------------------------------------------------------------------------

    def find(self, operation_id: str) -> Operation:
        """An operation, also one that has ended. Raises ``OperationNotFound``."""
        found = self.living.get(operation_id) or self.ended.get(operation_id)
        if found is None:
            raise OperationNotFound(session_id=self.session_id, operation_id=operation_id)
        return found

    def all(self) -> tuple[Operation, ...]:
        """Those that have ended, in the order of their ends, then the others as they came."""
        return (*self.ended.values(), *self.living.values())

    # -- what may be written -------------------------------------------------------------------

    def registering(self, spec: OperationSpec, *, at: int, limit: int) -> Registered:
        """A new one. Raises ``OperationExists``, ``OperationRefused``, ``TooManyOperations``."""
        if spec.id in self.living or spec.id in self.ended:
            raise OperationExists(session_id=self.session_id, operation_id=spec.id)
        if spec.owner_session_id != self.session_id:
            raise _refused(
                spec.id,
                OperationMove.REGISTER,
                OperationStatus.ABSENT,
                f"its owner is {spec.owner_session_id} and not {self.session_id}",
            )
        if len(self.living) >= limit:
            raise TooManyOperations(session_id=self.session_id, limit=limit)
        return Registered(spec=spec, at=at)

    def starting(self, operation_id: str, *, at: int) -> Started:
        """Its provisioning has succeeded."""
        self._insist(operation_id, OperationMove.PROVISIONED)
        return Started(operation_id=operation_id, at=at)

    def readying(self, operation_id: str, peer: PeerHandle) -> PeerBecameReady:
        """It can be reached: once, and only if that was expected."""
        operation = self._insist(operation_id, OperationMove.PEER_READY)
        why = ""
        if not operation.spec.expects_peer:
            why = "no peer was expected"
        elif operation.peer is not None:
            why = "its peer was ready before"
        if why:
            raise _refused(operation_id, OperationMove.PEER_READY, operation.status, why)
        return PeerBecameReady(operation_id=operation_id, peer=peer)

    def retiring(self, operation_id: str) -> RetireRequested:
        """It is asked to leave."""
        self._insist(operation_id, OperationMove.RETIRE)
        return RetireRequested(operation_id=operation_id)

    def ending(
        self, operation_id: str, outcome: OperationOutcome, *, at: int, by: OperationMove
    ) -> Ended:
        """It ends by a move that may happen where it stands."""
        operation = self._insist(operation_id, by)
        return self._ended(operation, outcome, at=at, seq=self.feed.watermark + 1)

    def ending_all(self, outcome: OperationOutcome, *, at: int, lost: bool) -> tuple[Ended, ...]:
        """Whatever has not ended ends so; ``lost`` if its process did not live to count."""
        return tuple(
            self._ended(operation, outcome, at=at, seq=seq, lost=lost)
            for seq, operation in enumerate(self.living.values(), self.feed.watermark + 1)
        )

    def count_progress(self, operation_id: str) -> int:
        """One more report; returns how many there were. It is kept with the end."""
        operation = self._insist(operation_id, OperationMove.PROGRESS)
        count = (operation.progress or 0) + 1
        self.living[operation_id] = _replace(operation, progress=count)
        return count

    def _insist(self, operation_id: str, move: OperationMove) -> Operation:
        operation = self.find(operation_id)
        if operation.status not in STEPS[move]:
            raise _refused(operation_id, move, operation.status)
        return operation

    def _ended(
        self,
        operation: Operation,
        outcome: OperationOutcome,
        *,
        at: int,
        seq: int,
        lost: bool = False,
    ) -> Ended:
        progress = None if lost else operation.progress
        return Ended(
            operation_id=operation.spec.id,
            seq=seq,
            outcome=outcome,
            at=at,
            progress=UNSET if progress is None else progress,
        )

    # -- what was written ----------------------------------------------------------------------

    def apply(self, fact: OperationFact) -> None:
        """Takes a fact that is kept. Raises ``ValueError`` for one that does not follow."""
        match fact:
            case EpochBegan():
                self.epoch_id = fact.epoch_id
            case Registered():
                if fact.spec.id in self.living:
                    raise ValueError(f"operation {fact.spec.id} was registered before")
                self.ended.pop(fact.spec.id, None)
                self.living[fact.spec.id] = Operation(spec=fact.spec, created_at=fact.at)
            case Started():
                operation = self._step(fact.operation_id, OperationMove.PROVISIONED)
                self.living[fact.operation_id] = _replace(operation, started_at=fact.at)
            case PeerBecameReady():
                operation = self._step(fact.operation_id, OperationMove.PEER_READY)
                self.living[fact.operation_id] = _replace(operation, peer=fact.peer)
            case RetireRequested():
                operation = self._step(fact.operation_id, OperationMove.RETIRE)
                self.living[fact.operation_id] = operation
            case Ended():
                self._end(fact)
            case CursorsMoved():
                told, collected = fact.agent_applied, fact.collected
                self.agent_applied = max(self.agent_applied, 0 if told is UNSET else told)
                self.collected = max(self.collected, 0 if collected is UNSET else collected)

    def _step(self, operation_id: str, move: OperationMove) -> Operation:
        operation = self.living.get(operation_id)
        if operation is None or operation.status not in STEPS[move]:
            status = OperationStatus.ABSENT if operation is None else operation.status
            raise ValueError(f"operation {operation_id} is {status} and cannot {move}")
        return _replace(operation, status=STEPS[move][operation.status])

    def _end(self, fact: Ended) -> None:
        operation = _replace(
            self._step(fact.operation_id, MOVE_TO[type(fact.outcome)]),
            status=status_of(fact.outcome),
            progress=None if fact.progress is UNSET else fact.progress,
            outcome=fact.outcome,
            seq=fact.seq,
            completed_at=fact.at,
        )
        self.feed.append(
            FeedEntry(
                seq=fact.seq,
                operation_id=fact.operation_id,
                kind=operation.spec.kind,
                display_name=operation.spec.display_name,
                outcome=fact.outcome,
                at=fact.at,
            )
        )
        del self.living[fact.operation_id]
        self.ended[fact.operation_id] = operation
        while len(self.ended) > self._retention:
            self.ended.popitem(last=False)


def _refused(
    operation_id: str, move: OperationMove, status: OperationStatus, why: str = ""
) -> OperationRefused:
    return OperationRefused(operation_id=operation_id, move=move, status=status, why=why)


class OperationFold:
    """The book of one session, from its records in their order.

    What had not ended stays so here: the registry ends it when it opens (``recover``).
    """

    def __init__(self, session_id: str, *, retention: int = RETENTION) -> None:
        self.book: Final = OperationBook(session_id, retention=retention)

    def add(self, records: Sequence[Record]) -> None:
        """Takes more records; other kinds belong to others. Raises ``StoreCorrupt``."""
        for record in records:
            decoder = DECODERS.get(record.kind)
            if decoder is None:
                continue
            try:
                if record.v > NEWEST:
                    raise ValueError(f"format {record.v}, which a later version wrote")
                self.book.apply(decoder.decode(record.body))
            except (ValueError, msgspec.MsgspecError) as fault:
                raise StoreCorrupt(
                    stream=record.stream,
                    seq=record.seq,
                    why=f"it is no fact of background work: {fault}",
                ) from fault
