"""The sessions of a realm, looked at by somebody who does not hold it.

The rule: it only reads, it needs no service, and damage of one session hides no other. A list
costs a look at each head; only a session that is asked for itself is read from its records.
Whether a session has a run now is known to its holder alone, so nothing here says it.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.errors import InvalidParams, SessionNotFound, StoreCorrupt
from meerkat_mob.sessions.catalogue import PAGE, Catalogue
from meerkat_mob.sessions.facts import APPLIED, RUN_ENDED, RunEnded
from meerkat_mob.sessions.fold import STREAM, Fold, SessionHead, summary_from
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.sessions.views import SessionQuery, checked
from meerkat_mob.store.protocol import Record, StoreReader

MOST_NAMED: Final = 3
"""How many other sessions a refusal names."""

_run_ended: Final = msgspec.json.Decoder(RunEnded)


class KeptSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session as its head tells it; times in ms UTC. Of a damaged one only the id is known."""

    session_id: str
    created_at: int | None = None
    updated_at: int | None = None
    message_count: int | None = None
    total_tokens: int | None = None
    model: str | None = None
    provider: str | None = None
    labels: Mapping[str, str] = {}
    archived: bool = False
    damaged: bool = False


class KeptSessions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a realm's sessions, those that were updated last first, the damaged ones behind.

    ``total`` counts those that were asked for; ``archived_left_out`` those that would be among them
    if they were not archived. ``damaged`` counts all damaged ones. A damaged one has no labels that
    could be asked for.
    """

    sessions: tuple[KeptSummary, ...]
    offset: int
    total: int
    next_offset: int | None
    archived_left_out: int
    damaged: int


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session from its records. ``damage`` says what was found: the state is that before it.

    ``runs`` have ended; ``receipts`` were given for inputs.
    """

    state: SessionState
    revision: int
    runs: int
    receipts: int
    damage: StoreCorrupt | None = None


# -- all of them -------------------------------------------------------------------------------


async def list_kept(
    reader: StoreReader, query: SessionQuery, *, archived: bool = False
) -> KeptSessions:
    """The sessions that ``query`` asks for; ``archived`` has the archived ones among them.

    Raises ``InvalidParams`` for labels that are no texts.
    """
    query = checked(query)
    catalogue = await Catalogue.read(reader)
    damaged = catalogue.damaged()
    matching = [one for one in _summaries(catalogue) if query.labels.items() <= one.labels.items()]
    found = [one for one in matching if archived or not one.archived]
    left_out = len(matching) - len(found)
    found.sort(key=_latest_first)
    if not query.labels:
        found += (KeptSummary(session_id=name, damaged=True) for name in sorted(damaged))
    end = len(found) if query.limit is None else min(query.offset + query.limit, len(found))
    return KeptSessions(
        sessions=tuple(found[query.offset : end]),
        offset=query.offset,
        total=len(found),
        next_offset=end if query.offset < end < len(found) else None,
        archived_left_out=left_out,
        damaged=len(damaged),
    )


def _summaries(catalogue: Catalogue) -> Iterator[KeptSummary]:
    return (_summary(session_id, head, at) for session_id, head, at in catalogue.whole())


def _summary(session_id: str, head: SessionHead, at: int) -> KeptSummary:
    return KeptSummary(
        session_id=session_id,
        created_at=head.created_at,
        updated_at=at,
        message_count=head.message_count,
        total_tokens=head.usage.total,
        model=head.model,
        provider=head.answered_by,
        labels=head.labels,
        archived=head.archived,
    )


def _latest_first(one: KeptSummary) -> tuple[int, str]:
    return -(one.updated_at or 0), one.session_id


# -- one of them -------------------------------------------------------------------------------


async def find_kept(reader: StoreReader, text: str) -> str:
    """The id of the one session whose id is ``text`` or begins with it.

    Raises ``InvalidParams``, naming them, when there are several, ``SessionNotFound``, naming the
    nearest, when there is none, and ``StoreCorrupt`` when only its records are left.
    """
    heads = await reader.heads(STREAM + text, limit=MOST_NAMED + 1)
    ids = [head.stream.removeprefix(STREAM) for head in heads]
    if text in ids or len(ids) == 1:
        return text if text in ids else ids[0]
    if ids:
        more = " and more" if len(ids) > MOST_NAMED else ""
        raise InvalidParams(
            what=f"several sessions begin with {text!r}: {', '.join(ids[:MOST_NAMED])}{more}",
            path="session_id",
            hint="give more of the id",
        )
    await reader.head(STREAM + text)
    raise SessionNotFound(session_id=text, nearest=_nearest(await Catalogue.read(reader), text))


def _nearest(catalogue: Catalogue, text: str) -> list[str]:
    """Those with a label of that value, else those whose id looks like it."""
    latest = sorted(_summaries(catalogue), key=_latest_first)
    labelled = [one.session_id for one in latest if text in one.labels.values()]
    ids = [one.session_id for one in latest[:PAGE]]
    return labelled[:MOST_NAMED] or difflib.get_close_matches(text, ids, n=MOST_NAMED)


async def read_kept(reader: StoreReader, session_id: str) -> KeptSession:
    """A session, archived or not, as far as its records can be read.

    Raises ``SessionNotFound``, and ``StoreCorrupt`` when not even its beginning can be read.
    """
    fold, revision, receipts = Fold(session_id), 0, 0
    damage: StoreCorrupt | None = None
    try:
        async with aclosing(pages_of(reader, STREAM + session_id)) as pages:
            async for page in pages:
                fold.add(page)
                receipts += sum(map(_has_receipt, page))
                revision = page[-1].seq
        await reader.head(STREAM + session_id)  # the records are whole: is the head?
    except StoreCorrupt as error:
        damage = error
    if not revision and damage is None:
        raise SessionNotFound(session_id=session_id, nearest=())
    try:
        state = fold.state()
    except StoreCorrupt as error:
        raise damage or error from None
    return KeptSession(
        state=state, revision=revision, runs=fold.runs, receipts=receipts, damage=damage
    )


async def pages_of(reader: StoreReader, stream: str) -> AsyncGenerator[tuple[Record, ...], None]:
    """All records of a stream; those before a damaged one come before its error."""
    after, limit = 0, PAGE
    damage: StoreCorrupt | None = None
    while True:
        try:
            page = await reader.read(stream, after=after, limit=limit)
        except StoreCorrupt as error:
            if damage is not None or not after < error.seq - 1:
                raise damage or error from None
            damage, limit = error, error.seq - 1 - after
            continue
        if page:
            yield page
        if damage is not None:
            raise damage
        if not page:
            return
        after = page[-1].seq


def _has_receipt(record: Record) -> bool:
    if record.kind == APPLIED:
        return True
    return record.kind == RUN_ENDED and _run_ended.decode(record.body).receipt is not UNSET


def summary_or_nothing(records: tuple[Record, ...]) -> bytes:
    """The summary that follows from all records of a session: what ``verify`` compares.

    Nothing, when they cannot be followed: no summary is that, so it is told as a difference.
    """
    try:
        return summary_from(records)
    except (StoreCorrupt, IndexError):
        return b""
