"""A window over an endless sequence, for any number of readers."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.sessions.ring import Ring


def a_ring(count: int, *, bound: int = 3) -> Ring[int]:
    ring: Ring[int] = Ring(bound)
    for n in range(count):
        ring.append(n)
    return ring


@pytest.mark.parametrize(
    ("position", "missed", "found"),
    [
        (0, 2, [2, 3, 4]),
        (1, 1, [2, 3, 4]),
        (2, 0, [2, 3, 4]),
        (4, 0, [4]),
        (5, 0, []),
        (9, 0, []),
    ],
)
def test_what_is_here_from_a_position_on_and_how_much_is_gone(
    position: int, missed: int, found: list[int]
) -> None:
    assert a_ring(5).take(position) == (missed, found)


@given(st.integers(1, 5), st.integers(0, 12), st.integers(0, 15))
def test_missed_and_found_are_all_there_was(bound: int, count: int, position: int) -> None:
    missed, found = a_ring(count, bound=bound).take(position)
    assert list(range(position + missed, count)) == found
    assert missed == 0 or len(found) == bound


async def test_readers_wait_for_what_is_not_here_yet() -> None:
    ring = a_ring(0)
    readers = [asyncio.create_task(ring.wait(n)) for n in (0, 1)]
    await asyncio.sleep(0)
    ring.append(7)
    assert await readers[0]
    assert not readers[1].done()
    ring.append(8)
    assert await readers[1]
    assert await ring.wait(1)


async def test_closing_ends_the_wait_but_not_the_reading() -> None:
    ring = a_ring(2)
    late = asyncio.create_task(ring.wait(2))
    await asyncio.sleep(0)
    ring.close()
    assert not await late
    assert await ring.wait(1)
    assert ring.take(1) == (0, [1])


async def test_a_reader_that_gives_up_leaves_no_trace() -> None:
    ring = a_ring(0)
    reader = asyncio.create_task(ring.wait(0))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not ring._waiting
    ring.append(1)
