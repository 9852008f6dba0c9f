"""The inboxes of a realm, looked at by somebody who does not hold it.

The rule: it only reads, page by page, and keeps no more than what is asked for. Damage of one
session hides no other. What an input came to is told as its session's records tell it, so an input
that waits may be in a run of the holder at this moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from meerkat_mob.core.inputs import (
    ContinuationInput,
    ExternalSource,
    FlowSource,
    Input,
    InputKind,
    PeerSource,
    Source,
    kind_of,
)
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.runtime.executor import message_of
from meerkat_mob.runtime.inbox import Abandoned, InputPhase, InputRecord
from meerkat_mob.runtime.policy import Lane
from meerkat_mob.runtime.recovery import InboxFold
from meerkat_mob.runtime.state import RuntimeState
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.outside import find_kept, list_kept, pages_of
from meerkat_mob.sessions.receipts import ReceiptCheck, ReceiptFold
from meerkat_mob.sessions.views import SessionQuery
from meerkat_mob.store import Record, StoreReader


class KeptInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An input as its session's records tell it; times in ms UTC.

    ``source`` is who sent it, by name where there is one. ``text`` is what the model is told, and
    the reason of a continuation, which tells it nothing. ``state`` is queued, consumed or
    abandoned; ``reason`` and ``error`` say why it was abandoned.

    ``run_id`` is the last run that is known to have taken it, ``attempts`` how many are, and
    ``recoveries`` how many restarts found it waiting: a run that a process began and did not live
    to keep anything of has left no trace but those.
    """

    session_id: str
    input_id: str
    kind: InputKind
    source: str
    lane: Lane
    text: str
    state: InputPhase
    reason: str | None
    error: str | None
    run_id: str | None
    attempts: int
    recoveries: int
    accepted_at: int
    updated_at: int


class KeptInbox(msgspec.Struct, frozen=True, kw_only=True):
    """What a session accepted. ``inputs`` are those that were asked for, as they were admitted.

    The others count all of them. ``damage`` says what was found: all is as of before it.
    """

    session_id: str
    state: RuntimeState
    inputs: tuple[KeptInput, ...]
    queued: int
    consumed: int
    abandoned: int
    damage: StoreCorrupt | None = None

    @property
    def accepted(self) -> int:
        """How many inputs there are."""
        return self.queued + self.consumed + self.abandoned


class KeptReceipts(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of a session beside what its records come to, up to its ``damage``."""

    session_id: str
    checks: tuple[ReceiptCheck, ...]
    damage: StoreCorrupt | None = None


async def asked_for(reader: StoreReader, session: str | None) -> tuple[str, ...]:
    """The session whose id begins so; without one all of them, the latest first, damaged ones too.

    Raises as ``find_kept`` does.
    """
    if session is not None:
        return (await find_kept(reader, session),)
    every = await list_kept(reader, SessionQuery(), archived=True)
    return tuple(one.session_id for one in every.sessions)


async def read_inbox(reader: StoreReader, session_id: str, *, ended: bool) -> KeptInbox:
    """What a session accepted and what became of it; ``ended`` inputs are shown if asked for.

    Memory is that of what is shown.
    """
    fold, gone, counts = InboxFold(), list[InputRecord](), Counter[InputPhase]()
    damage: StoreCorrupt | None = None

    def release() -> None:
        for record in _take_ended(fold):
            counts[record.phase] += 1
            if ended:
                gone.append(record)

    try:
        async with aclosing(_pages(reader, session_id)) as pages:
            async for page in pages:
                fold.add(page)
                release()
    except StoreCorrupt as error:
        damage = error
        release()
    waiting = fold.waiting()
    shown = sorted((*gone, *waiting), key=lambda record: record.admission)
    return KeptInbox(
        session_id=session_id,
        state=fold.state,
        inputs=tuple(_kept(session_id, record) for record in shown),
        queued=len(waiting),
        consumed=counts[InputPhase.CONSUMED],
        abandoned=counts[InputPhase.ABANDONED],
        damage=damage,
    )


def _take_ended(fold: InboxFold) -> tuple[InputRecord, ...]:
    """What no later record speaks of any more."""
    fold.receipts.clear()
    return tuple(fold.inputs.pop(record.item.header.id) for record in fold.ended())


async def read_receipts(reader: StoreReader, session_id: str) -> KeptReceipts:
    """Each receipt of a session, verified. Memory is that of its messages and receipts."""
    fold, checks = ReceiptFold(), list[ReceiptCheck]()
    damage: StoreCorrupt | None = None
    try:
        async with aclosing(_pages(reader, session_id)) as pages:
            async for page in pages:
                for check in fold.add(page):
                    checks.append(check)
    except StoreCorrupt as error:
        damage = error
    return KeptReceipts(session_id=session_id, checks=tuple(checks), damage=damage)


async def _pages(reader: StoreReader, session_id: str) -> AsyncGenerator[tuple[Record, ...], None]:
    """All records, and then the head: they may be whole where it is not."""
    async with aclosing(pages_of(reader, STREAM + session_id)) as pages:
        async for page in pages:
            yield page
    await reader.head(STREAM + session_id)


# -- one input ---------------------------------------------------------------------------------


def _kept(session_id: str, record: InputRecord) -> KeptInput:
    outcome = record.outcome
    abandoned = outcome if isinstance(outcome, Abandoned) else None
    error = None if abandoned is None or abandoned.error is None else str(abandoned.error)
    return KeptInput(
        session_id=session_id,
        input_id=record.item.header.id,
        kind=kind_of(record.item),
        source=_name(record.item.header.source),
        lane=record.policy.lane,
        text=_text(record.item),
        state=record.phase,
        reason=None if abandoned is None else abandoned.reason,
        error=error,
        run_id=record.run_id,
        attempts=max(record.attempts, int(record.run_id is not None)),
        recoveries=record.recoveries,
        accepted_at=record.created_at,
        updated_at=record.updated_at,
    )


def _text(item: Input) -> str:
    message = message_of(item)
    if message is not None:
        return text_of_message(message)
    return item.reason if isinstance(item, ContinuationInput) else ""


def _name(source: Source) -> str:
    match source:
        case PeerSource(peer_id=name) | FlowSource(flow_id=name) | ExternalSource(source_name=name):
            return name
        case _:
            return str(source.__struct_config__.tag)
