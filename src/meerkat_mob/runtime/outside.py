"""The inboxes of a realm, looked at by somebody who does not hold it.

The rule: it only reads. What an input came to is told as its session's records tell it, so an input
that waits may be in a run of the holder at this moment.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from meerkat_mob.core.inputs import InputKind, kind_of
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.runtime.executor import message_of
from meerkat_mob.runtime.inbox import Abandoned, InputPhase, InputRecord
from meerkat_mob.runtime.recovery import InboxFold
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.outside import pages_of
from meerkat_mob.sessions.receipts import ReceiptCheck, ReceiptFold
from meerkat_mob.store import StoreReader


class KeptInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An input as its session's records tell it; times in ms UTC.

    ``state`` is queued, consumed or abandoned; ``reason`` and ``error`` say why it was abandoned.
    ``run_id`` is the run that took it last.
    """

    session_id: str
    input_id: str
    kind: InputKind
    source: str
    lane: str
    text: str
    state: InputPhase
    reason: str | None
    error: str | None
    run_id: str | None
    recoveries: int
    accepted_at: int
    updated_at: int


async def read_inputs(reader: StoreReader, session_id: str) -> tuple[KeptInput, ...]:
    """All inputs a session ever accepted, in their order. Raises ``StoreCorrupt``."""
    fold = InboxFold()
    async with aclosing(pages_of(reader, STREAM + session_id)) as pages:
        async for page in pages:
            fold.add(page)
    found = sorted(fold.inputs.values(), key=lambda record: record.admission)
    return tuple(_kept(session_id, record) for record in found)


async def check_receipts(
    reader: StoreReader, session_id: str
) -> AsyncGenerator[ReceiptCheck, None]:
    """Each receipt of a session beside what its records come to. Raises ``StoreCorrupt``."""
    fold = ReceiptFold()
    async with aclosing(pages_of(reader, STREAM + session_id)) as pages:
        async for page in pages:
            for check in fold.add(page):
                yield check


def _kept(session_id: str, record: InputRecord) -> KeptInput:
    item, outcome = record.item, record.outcome
    message = message_of(item)
    abandoned = outcome if isinstance(outcome, Abandoned) else None
    error = None if abandoned is None or abandoned.error is None else str(abandoned.error)
    return KeptInput(
        session_id=session_id,
        input_id=item.header.id,
        kind=kind_of(item),
        source=_told(item.header.source),
        lane=record.policy.lane,
        text="" if message is None else text_of_message(message),
        state=record.phase,
        reason=None if abandoned is None else abandoned.reason,
        error=error,
        run_id=record.run_id,
        recoveries=record.recoveries,
        accepted_at=record.created_at,
        updated_at=record.updated_at,
    )


def _told(source: msgspec.Struct) -> str:
    """Who sent it: the name where there is one, else what kind of sender it was."""
    for name in ("peer_id", "flow_id", "source_name"):
        if hasattr(source, name):
            return str(getattr(source, name))
    return str(source.__struct_config__.tag)
