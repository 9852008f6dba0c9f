"""What compactions took out of a history, from the records of its session.

The rule: nothing is kept twice. The messages were stored when they were said; that they gave way to
a summary is a record of its own, so both follow from the stream alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from meerkat_mob.core.compaction import is_summary
from meerkat_mob.core.messages import Message, decode_message
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.sessions.facts import REWRITTEN, SAID, Rewritten
from meerkat_mob.store.protocol import Record

_said: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_rewritten: Final = msgspec.json.Decoder(Rewritten)


class DiscardedFold:
    """Takes the records of one session in their order."""

    def __init__(self) -> None:
        self._here: list[bytes] = []
        self._gone: list[bytes] = []

    def add(self, records: Iterable[Record]) -> None:
        """Takes more records. Raises ``StoreCorrupt`` for one that is not what its kind says."""
        for record in records:
            try:
                self._take(record)
            except (msgspec.MsgspecError, ValueError) as fault:
                why = f"it is no fact of a session: {fault}"
                raise StoreCorrupt(stream=record.stream, seq=record.seq, why=why) from fault

    def _take(self, record: Record) -> None:
        if record.kind == SAID:
            self._here.extend(bytes(raw) for raw in _said.decode(record.body))
        elif record.kind == REWRITTEN:
            fact = _rewritten.decode(record.body)
            instead = [bytes(raw) for raw in fact.messages]
            gone = self._here[fact.start : fact.stop]
            self._here[fact.start : fact.stop] = instead
            self._gone += [message for message in gone if message not in instead]

    def messages(self) -> tuple[Message, ...]:
        """What is gone, in order, without the summaries that stood for others."""
        found = map(decode_message, self._gone)
        return tuple(message for message in found if not is_summary(message))
