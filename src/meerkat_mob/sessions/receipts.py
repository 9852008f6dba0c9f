"""The receipts of a session, held against the messages that were stored when they were given.

The rule: everything follows from the records alone. A receipt's digest and count are computed
anew, from the stored bytes up to its own record, so it can be verified for ever: also after the
messages it speaks of were rewritten, because the record of the rewrite says what stood before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.digest import ConversationDigest
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.sessions.facts import (
    APPLIED,
    REWRITTEN,
    RUN_ENDED,
    SAID,
    Applied,
    Rewritten,
    RunEnded,
)
from meerkat_mob.store.protocol import Record

_NEWEST: Final = 1
_READ: Final = frozenset({APPLIED, REWRITTEN, RUN_ENDED, SAID})

_said: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_rewritten: Final = msgspec.json.Decoder(Rewritten)
_applied: Final = msgspec.json.Decoder(Applied)
_run_ended: Final = msgspec.json.Decoder(RunEnded)


class ReceiptCheck(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A receipt beside what the records before it come to.

    ``seq`` is the number of the receipt's record in its stream, ``at`` its time in ms UTC.
    ``conversation_digest`` and ``message_count`` are computed anew. ``difference`` is the first
    thing in which the receipt and the records do not agree, in words; None when they do.
    """

    receipt: Receipt
    seq: int
    at: int
    conversation_digest: str
    message_count: int
    difference: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the receipt says what is stored (RCP-1)."""
        return self.difference is None


class ReceiptFold:
    """Checks the receipts of one session while its records go by, page after page."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._digest = ConversationDigest()
        self._next: dict[str, int] = {}
        self._consumed: dict[str, str] = {}

    def add(self, records: Iterable[Record]) -> Iterator[ReceiptCheck]:
        """Takes more records and gives a check for each receipt among them, as they come.

        Raises ``StoreCorrupt`` for a record that is not what its kind says.
        """
        for record in records:
            if record.kind not in _READ:
                continue  # it says nothing of messages, nor of inputs that were applied
            if record.v > _NEWEST:
                raise _unlike(record, f"it has format {record.v}, which a later version wrote")
            try:
                receipt = self._take(record)
            except (IndexError, msgspec.MsgspecError) as fault:
                raise _unlike(record, f"it is no fact of a session: {fault}") from fault
            if receipt is not None:
                yield self._check(receipt, record)

    def _take(self, record: Record) -> Receipt | None:
        if record.kind == SAID:
            self._push(_said.decode(record.body))
        elif record.kind == REWRITTEN:
            self._rewrite(_rewritten.decode(record.body))
        elif record.kind == APPLIED:
            return _applied.decode(record.body).receipt
        elif record.kind == RUN_ENDED:
            receipt = _run_ended.decode(record.body).receipt
            return None if receipt is UNSET else receipt
        return None

    def _push(self, messages: Iterable[msgspec.Raw]) -> None:
        for raw in messages:
            encoded = bytes(raw)
            self._messages.append(encoded)
            self._digest.push(encoded)

    def _rewrite(self, fact: Rewritten) -> None:
        if not 0 <= fact.start <= fact.stop <= len(self._messages):
            raise IndexError(f"no range {fact.start}:{fact.stop} in {len(self._messages)} messages")
        self._messages[fact.start : fact.stop] = [bytes(raw) for raw in fact.messages]
        self._digest = ConversationDigest()
        for encoded in self._messages:
            self._digest.push(encoded)

    def _check(self, receipt: Receipt, record: Record) -> ReceiptCheck:
        digest, count = self._digest.hexdigest(), self._digest.count
        difference = next(self._differences(receipt, digest, count), None)
        self._next[receipt.run_id] = receipt.sequence + 1
        for input_id in receipt.contributing_input_ids:
            self._consumed.setdefault(input_id, receipt.run_id)
        return ReceiptCheck(
            receipt=receipt,
            seq=record.seq,
            at=record.at,
            conversation_digest=digest,
            message_count=count,
            difference=difference,
        )

    def _differences(self, receipt: Receipt, digest: str, count: int) -> Iterator[str]:
        if receipt.message_count != count:
            yield f"message_count: the receipt says {receipt.message_count}, stored are {count}"
        if receipt.conversation_digest != digest:
            yield (
                f"conversation_digest: the receipt says {receipt.conversation_digest}, "
                f"the {count} stored messages have {digest}"
            )
        expected = self._next.get(receipt.run_id, 0)
        if receipt.sequence != expected:
            yield f"sequence: the receipt says {receipt.sequence}, the run's next is {expected}"
        for input_id in receipt.contributing_input_ids:
            if (run_id := self._consumed.get(input_id)) is not None:
                yield (
                    f"contributing_input_ids: {input_id} was consumed before, by a receipt of "
                    f"run {run_id}"
                )


def verify_receipts(records: Iterable[Record]) -> Iterator[ReceiptCheck]:
    """A check for each receipt in all records of one session, in their order.

    Raises ``StoreCorrupt`` at a record that is not what its kind says; what came before it is
    checked by then. Costs O(the records); a rewrite costs O(the history before it).
    """
    return ReceiptFold().add(records)


def _unlike(record: Record, why: str) -> StoreCorrupt:
    return StoreCorrupt(stream=record.stream, seq=record.seq, why=why)
