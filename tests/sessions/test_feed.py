"""The events of one session: numbered, kept for a while, watched by anyone."""

import asyncio

import pytest

from meerkat_mob.core.events import EventEnvelope, StreamTruncated, TextDelta
from meerkat_mob.sessions.feed import KEPT, EventFeed
from meerkat_mob.testing.builders import a_clock, some_ids


def a_feed(count: int = 0) -> EventFeed:
    feed = EventFeed("session:s", clock=a_clock(at=5), ids=some_ids("event"))
    for n in range(count):
        feed.emit(TextDelta(delta=str(n + 1)))
    return feed


async def read(feed: EventFeed, after: int | None) -> list[int]:
    """The numbers of what a reader of the closed feed gets; markers are negative."""
    feed.close()
    return [
        -e.seq if isinstance(e.payload, StreamTruncated) else e.seq
        async for e in feed.subscribe(after)
    ]


async def test_an_event_has_its_place_its_source_and_its_time() -> None:
    feed = a_feed(1)
    feed.close()
    assert [e async for e in feed.subscribe(0)] == [
        EventEnvelope(
            event_id="event-1",
            source_id="session:s",
            seq=1,
            timestamp_ms=5,
            payload=TextDelta(delta="1"),
        )
    ]


@pytest.mark.parametrize(
    ("after", "wanted"), [(0, [1, 2, 3]), (2, [3]), (3, []), (99, []), (-1, [1, 2, 3]), (None, [])]
)
async def test_a_reader_begins_after_the_number_it_names(
    after: int | None, wanted: list[int]
) -> None:
    assert await read(a_feed(3), after) == wanted


async def test_the_last_ones_are_kept_and_the_gap_is_marked_once() -> None:
    gone = 10
    numbers = await read(a_feed(KEPT + gone), 0)
    assert numbers == [-gone, *range(gone + 1, gone + KEPT + 1)]
    assert await read(a_feed(KEPT + gone), gone) == numbers[1:]
    assert (await read(a_feed(KEPT + gone), gone - 1))[:2] == [-gone, gone + 1]


async def test_the_marker_says_how_much_is_missing() -> None:
    feed = a_feed(KEPT + 10)
    events = feed.subscribe(4)
    assert (await anext(events)).payload == StreamTruncated(reason="6 events were no longer kept")
    await events.aclose()


async def test_the_place_is_taken_when_the_subscription_is_made() -> None:
    feed = a_feed(2)
    events = feed.subscribe()
    feed.emit(TextDelta(delta="3"))
    assert (await anext(events)).seq == 3
    await events.aclose()


async def test_many_readers_each_see_everything_at_their_own_pace() -> None:
    feed = a_feed()

    async def all_of_it(pause: int) -> list[int]:
        numbers: list[int] = []
        async for envelope in feed.subscribe(0):
            numbers.append(envelope.seq)
            for _ in range(pause):
                await asyncio.sleep(0)
        return numbers

    readers = [asyncio.create_task(all_of_it(pause)) for pause in range(10)]
    for n in range(50):
        feed.emit(TextDelta(delta=str(n)))
        await asyncio.sleep(0)
    feed.close()
    assert await asyncio.gather(*readers) == [list(range(1, 51))] * 10


async def test_a_watcher_may_let_go_of_itself_and_hides_nothing_from_the_next() -> None:
    feed, seen = a_feed(), list[str]()

    def once(envelope: EventEnvelope) -> None:
        seen.append(f"once {envelope.seq}")
        stop()

    stop = feed.watch(once)
    feed.watch(lambda envelope: seen.append(f"always {envelope.seq}"))
    for _ in range(2):
        feed.emit(TextDelta(delta="x"))
    assert seen == ["once 1", "always 1", "always 2"]


async def test_a_watcher_that_lets_go_and_then_raises_is_let_go_once() -> None:
    feed, told = a_feed(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, c: told.append(c["exception"]))

    def trouble(envelope: EventEnvelope) -> None:
        stop()
        raise ValueError("oh")

    stop = feed.watch(trouble)
    feed.emit(TextDelta(delta="x"))
    feed.emit(TextDelta(delta="y"))
    asyncio.get_running_loop().set_exception_handler(None)
    assert [str(error) for error in told] == ["oh"]
