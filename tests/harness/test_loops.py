"""Async tests really run, on the loops they ask for, and may not leave anything running."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.testing.virtual_clock import VirtualClockLoop
from tests.support import loops

EVER_RUN: list[str] = []


async def test_an_async_test_runs_on_the_loop_that_its_name_says(
    request: pytest.FixtureRequest,
) -> None:
    virtual = isinstance(asyncio.get_running_loop(), VirtualClockLoop)
    assert request.node.name.endswith("[virtual]" if virtual else "[native]")
    EVER_RUN.append(request.node.name)


def test_both_loops_have_had_their_turn() -> None:
    assert len(EVER_RUN) in {0, 2}, "one body, two loops (or none, when this test is picked alone)"


@pytest.mark.virtual_only
async def test_a_test_that_waits_for_time_gets_the_virtual_clock_alone() -> None:
    await asyncio.sleep(3600)
    assert asyncio.get_running_loop().time() == 3600.0


@pytest.mark.native_only
async def test_a_test_that_needs_threads_gets_the_native_loop_alone() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualClockLoop)


@given(seconds=st.integers(min_value=0, max_value=0))
async def test_a_property_may_be_async(seconds: int) -> None:
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("run", loops.LOOPS.values(), ids=loops.LOOPS)
def test_an_async_property_that_does_not_hold_fails(run: Callable[[loops.Story], None]) -> None:
    seen: list[int] = []

    @given(number=st.integers(min_value=0, max_value=9))
    async def small(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)
        assert number < 5

    wrapped = loops.property_of(small)
    assert wrapped is not None
    assert loops.is_async(small)
    with pytest.raises(AssertionError):
        loops.run_property(small, wrapped, run, {})
    assert max(seen) >= 5


@pytest.mark.parametrize("run", loops.LOOPS.values(), ids=loops.LOOPS)
def test_a_test_that_leaves_a_task_running_fails(run: Callable[[loops.Story], None]) -> None:
    kept: list[asyncio.Task[None]] = []

    async def forgotten() -> None:
        await asyncio.Event().wait()

    async def careless() -> None:
        kept.append(asyncio.create_task(forgotten(), name="stray"))

    with pytest.raises(pytest.fail.Exception, match="stray at"):
        run(careless())


async def test_a_generator_left_in_the_middle_is_no_stray() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    async for _ in numbers():
        break


def test_the_marks_choose_the_loops() -> None:
    assert loops.loops_for(set()) == ("virtual", "native")
    assert loops.loops_for({"virtual_only"}) == ("virtual",)
    assert loops.loops_for({"native_only"}) == ("native",)
    assert loops.loops_for({"loopback"}) == ("native",)
