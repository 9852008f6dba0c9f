"""Facts are kept, then folded, then shown; readers see each of them once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec
import pytest

from meerkat_mob.core.events import EventEnvelope, TurnStarted
from meerkat_mob.errors import TaskRefused
from meerkat_mob.mob import journal as journal_module
from meerkat_mob.mob.events import AnyEvent, Lagged, MemberEvent, MobEvent
from meerkat_mob.mob.facts import (
    Fact,
    MobCreated,
    MobDestroyed,
    MobResumed,
    MobStopped,
    TaskCreated,
)
from meerkat_mob.mob.journal import Journal
from meerkat_mob.mob.state import MobState
from meerkat_mob.store import Append, Blob, Install, MemoryStore, Record

RAW = msgspec.Raw(b"{}")


def a_journal() -> Journal:
    return Journal("team", MemoryStore(clock=lambda: 7))


def a_task(n: int) -> TaskCreated:
    return TaskCreated(task_id=f"t{n}", subject="s", description="")


def chatter(n: int) -> EventEnvelope:
    return EventEnvelope(
        event_id=str(n),
        source_id="session:s",
        seq=n,
        timestamp_ms=7,
        payload=TurnStarted(turn_number=n),
    )


async def collect(journal: Journal, after: int | None = 0) -> list[AnyEvent]:
    return [event async for event in journal.events(after)]


def facts_of(events: Iterable[AnyEvent]) -> list[int]:
    return [e.cursor for e in events if isinstance(e, MobEvent)]


async def test_a_fact_has_a_cursor_a_time_and_its_mob() -> None:
    journal = a_journal()
    (event,) = await journal.record(lambda: (a_task(1),))
    assert event == MobEvent(cursor=1, timestamp=7, mob_id="team", kind=a_task(1))
    assert await journal.poll() == (event,)


async def test_what_is_refused_while_deciding_leaves_no_trace() -> None:
    journal = a_journal()

    def refuse() -> tuple[Fact, ...]:
        raise TaskRefused("no")

    with pytest.raises(TaskRefused):
        await journal.record(refuse)
    assert (journal.cursor, journal.board.list(), await journal.poll()) == (0, (), ())


class FullStore(MemoryStore):
    """A store that has run out of room."""

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        raise OSError("no space left")


async def test_a_fact_that_could_not_be_kept_did_not_happen() -> None:
    journal = Journal("team", FullStore(clock=lambda: 7))
    with pytest.raises(OSError, match="no space"):
        await journal.record(lambda: (a_task(1),))
    assert journal.board.list() == ()


async def test_a_reader_sees_what_was_stored_then_what_happens_without_a_gap() -> None:
    journal = a_journal()
    await journal.record(lambda: (a_task(1), a_task(2)))
    reading = asyncio.ensure_future(collect(journal))
    await asyncio.sleep(0)
    journal.show("ann", "dev", chatter(1))
    await journal.record(lambda: (a_task(3),))
    journal.close()
    seen = await reading
    assert facts_of(seen) == [1, 2, 3]
    assert [type(e) for e in seen] == [MobEvent, MobEvent, MemberEvent, MobEvent]


async def test_a_reader_from_now_sees_nothing_old() -> None:
    journal = a_journal()
    await journal.record(lambda: (a_task(1),))
    events = journal.events(None)
    await journal.record(lambda: (a_task(2),))
    journal.close()
    assert facts_of([e async for e in events]) == [2]


async def test_facts_between_the_call_and_the_first_read_come_once() -> None:
    journal = a_journal()
    events = journal.events(0)
    await journal.record(lambda: (a_task(1),))
    journal.close()
    assert facts_of([e async for e in events]) == [1]


async def test_a_slow_reader_is_told_what_it_missed_and_misses_no_fact() -> None:
    journal = a_journal()
    events = journal.events(0)
    await journal.record(lambda: (a_task(1),))
    assert facts_of([await anext(events)]) == [1]
    for n in range(journal_module.WINDOW + 10):
        journal.show("ann", "dev", chatter(n))
    await journal.record(lambda: (a_task(2),))
    journal.close()
    rest = [e async for e in events]
    assert isinstance(rest[0], Lagged)
    assert rest[0].skipped + sum(isinstance(e, MemberEvent) for e in rest) == (
        journal_module.WINDOW + 10
    )
    assert facts_of(rest) == [2]


async def test_the_state_follows_the_facts() -> None:
    journal = a_journal()
    seen = [journal.state]
    facts: tuple[Fact, ...] = (
        MobCreated(definition=RAW),
        MobStopped(),
        MobResumed(),
        MobDestroyed(),
    )
    for fact in facts:
        await journal.record(partial(tuple[Fact], (fact,)))
        seen.append(journal.state)
    assert seen == [
        MobState.CREATING,
        MobState.RUNNING,
        MobState.STOPPED,
        MobState.RUNNING,
        MobState.DESTROYED,
    ]
