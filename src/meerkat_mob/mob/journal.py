"""A mob's stream in the store, the projections over it, and those who watch it.

A fact is kept first, then folded into roster, board and state, then shown (spec mob 5.3): when a
commit fails, nothing has changed. What decides a fact runs inside the same lock as its commit, so
nothing can come between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Final

from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.mob.events import AnyEvent, Lagged, MemberEvent, MobEvent, is_about
from meerkat_mob.mob.facts import Fact, decode_fact, encode_fact
from meerkat_mob.mob.fold import MobFold
from meerkat_mob.mob.state import MobState
from meerkat_mob.sessions.ring import Ring
from meerkat_mob.store.protocol import Append, NewRecord, Record, Store

WINDOW: Final = 8192
"""Events a slow reader may fall behind before it misses any."""
PAGE: Final = 500


class Journal:
    """The facts of one mob. Reads answer from the projections and never wait."""

    def __init__(self, mob_id: str, store: Store) -> None:
        self.mob_id: Final = mob_id
        self._fold: Final = MobFold()
        self.roster: Final = self._fold.roster
        self.board: Final = self._fold.board
        self._stream = f"mob:{mob_id}"
        self._store = store
        self._lock = asyncio.Lock()
        self._ring: Ring[MobEvent | MemberEvent] = Ring(WINDOW)
        self._followers: list[Callable[[Fact], None]] = []

    def follow(self, fold: Callable[[Fact], None]) -> None:
        """Folds every fact from now on into something else, in the step in which it is kept.

        A fold must not raise: the fact has happened.
        """
        self._followers.append(fold)

    async def replay(self) -> int:
        """Folds what is kept, for a mob that comes back; returns how many facts there are.

        Raises ``StoreCorrupt`` when they cannot all be read.
        """
        async with self._lock:
            newest = await self._store.revision(self._stream)
            while self._fold.revision < newest:
                for record in await self._store.read(self._stream, after=self._fold.revision):
                    self._take(record, decode_fact(record.body))
            return newest

    # -- writing -------------------------------------------------------------------------------

    async def record(self, decide: Callable[[], Iterable[Fact]]) -> tuple[MobEvent, ...]:
        """Keeps the facts that ``decide`` returns, all or none, and lets everyone see them.

        ``decide`` looks at the projections and may refuse by raising; nothing is written then.
        Facts that were kept are folded even if the caller was cancelled while it waited.
        """
        async with self._lock:
            facts = tuple(decide())
            if not facts:
                return ()
            records = tuple(NewRecord(kind=_tag(fact), body=encode_fact(fact)) for fact in facts)
            append = Append(stream=self._stream, expected=self._fold.revision, records=records)
            events: list[MobEvent] = []

            def install(kept: tuple[Record, ...]) -> None:
                events.extend(self._install(r, f) for r, f in zip(kept, facts, strict=True))

            await self._store.commit((append,), install=install)
            return tuple(events)

    def _take(self, record: Record, fact: Fact) -> None:
        self._fold.take(fact, seq=record.seq, at=record.at)
        for follow in self._followers:
            follow(fact)

    def _install(self, record: Record, fact: Fact) -> MobEvent:
        self._take(record, fact)
        event = self._event(record, fact)
        self._ring.append(event)
        return event

    def show(self, member: str, profile: str, envelope: EventEnvelope) -> None:
        """Shows something a member's run said; it is not kept."""
        self._ring.append(MemberEvent(member=member, profile=profile, envelope=envelope))

    def close(self) -> None:
        """Nothing more will happen; readers end once they have seen what is here."""
        self._ring.close()

    # -- reading -------------------------------------------------------------------------------

    @property
    def state(self) -> MobState:
        """Where the mob stands."""
        return self._fold.state

    @property
    def cursor(self) -> int:
        """The cursor of the newest fact."""
        return self._fold.revision

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for the facts that make something true, or for the end of the mob."""
        position = self._ring.end
        while not condition() and await self._ring.wait(position):
            position = self._ring.end

    async def poll(self, after_cursor: int = 0, limit: int = 100) -> tuple[MobEvent, ...]:
        """Facts with a higher cursor, in order, at most ``limit``."""
        found = await self._store.read(self._stream, after=after_cursor, limit=limit)
        return tuple(self._event(r, decode_fact(r.body)) for r in found)

    def events(
        self, after_cursor: int | None = None, member: str | None = None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Stored facts after a cursor, then everything that happens, without a gap.

        None means from now. A reader that falls behind gets ``Lagged`` with the number of member
        events it missed; facts are never missed, they are read again from the store. With a member
        it is only told what is about that one.
        """
        cursor = self._fold.revision if after_cursor is None else after_cursor
        everything = self._read(cursor, self._ring.end, self._fold.revision)
        return everything if member is None else _only(everything, member)

    async def _read(self, cursor: int, position: int, shown: int) -> AsyncGenerator[AnyEvent, None]:
        """``cursor``: the last fact the reader has. ``shown``: the last one before ``position``."""
        async for event in self._stored(cursor, self._fold.revision):
            cursor = event.cursor
            yield event
        while await self._ring.wait(position):
            missed, found = self._ring.take(position)
            newest = self._fold.revision
            if missed:
                upto = next((e.cursor - 1 for e in found if isinstance(e, MobEvent)), newest)
                yield Lagged(skipped=missed - (upto - shown))
                async for event in self._stored(cursor, upto):
                    cursor = event.cursor
                    yield event
            position, shown = position + missed + len(found), newest
            for item in found:
                if isinstance(item, MemberEvent):
                    yield item
                elif item.cursor > cursor:
                    cursor = item.cursor
                    yield item

    async def _stored(self, cursor: int, upto: int) -> AsyncGenerator[MobEvent, None]:
        while cursor < upto:
            page = await self.poll(cursor, min(PAGE, upto - cursor))
            if not page:
                return
            for event in page:
                cursor = event.cursor
                yield event

    def _event(self, record: Record, fact: Fact) -> MobEvent:
        return MobEvent(cursor=record.seq, timestamp=record.at, mob_id=self.mob_id, kind=fact)


async def _only(
    events: AsyncGenerator[AnyEvent, None], member: str
) -> AsyncGenerator[AnyEvent, None]:
    async with aclosing(events):
        async for event in events:
            if is_about(event, member):
                yield event


def _tag(fact: Fact) -> str:
    return str(type(fact).__struct_config__.tag)
