"""The clock that tests run on: it jumps, it names what hangs, and it nests in a running loop."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from meerkat_mob.errors import CapabilityUnavailable, ClockStuck
from meerkat_mob.testing.virtual_clock import VirtualClockLoop, run


def test_an_hour_of_sleeping_ends_at_one_hour() -> None:
    async def sleeper() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run(sleeper()) == 3600.0


def test_timers_fire_in_the_order_of_their_instants() -> None:
    async def race() -> list[str]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            for seconds, name in ((3, "c"), (1, "a"), (2, "b")):
                group.create_task(after(seconds, name))
        return order

    assert run(race()) == ["a", "b", "c"]


def test_a_timeout_fires_in_virtual_time() -> None:
    async def impatient() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(impatient()) == 30.0


def test_a_deadlock_names_the_tasks_and_the_lines_where_they_wait() -> None:
    async def wait_for_a_letter(box: asyncio.Queue[str]) -> None:
        await box.get()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_a_letter(asyncio.Queue()), name="postman")

    with pytest.raises(ClockStuck, match="no timer is set") as caught:
        run(main())
    postman = next(line for line in caught.value.waiting if line.startswith("postman"))
    assert "Queue.get" in postman


def test_a_periodic_task_meets_the_limit_of_time_and_is_named() -> None:
    async def heartbeat() -> None:
        while True:
            await asyncio.sleep(10)

    async def main() -> None:
        beat = asyncio.create_task(heartbeat(), name="heartbeat")
        await beat

    with pytest.raises(ClockStuck, match="limit of 60 virtual seconds") as caught:
        run(main(), limit_s=60)
    assert caught.value.now_s == 60.0
    assert any(line.startswith("heartbeat at") for line in caught.value.waiting)


def test_a_task_that_spins_without_waiting_meets_the_limit_of_passes() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(ClockStuck, match="more than 1000 times") as caught:
        run(spin(), limit_passes=1000)
    assert caught.value.now_s == 0.0


def test_what_the_coroutine_raises_comes_out_unchanged() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError("nobody home")

    with pytest.raises(LookupError, match="nobody home"):
        run(fail())


def test_tasks_left_behind_are_cancelled_and_may_clean_up() -> None:
    tidied: list[float] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            tidied.append(asyncio.get_running_loop().time())

    left: list[asyncio.Task[None]] = []

    async def main() -> None:
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(1)

    run(main())
    assert tidied == [6.0]
    assert left[0].cancelled()


def test_async_generators_left_open_are_closed() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    kept: list[AsyncIterator[int]] = []

    async def main() -> int:
        kept.append(numbers())
        return await anext(kept[0])

    assert run(main()) == 1
    assert closed == [True]


def test_a_thread_is_refused_with_the_way_out() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, time.monotonic)

    with pytest.raises(CapabilityUnavailable, match="inline runner"):
        run(main())


async def test_it_nests_inside_a_running_loop_and_gives_that_loop_back() -> None:
    outer, task = asyncio.get_running_loop(), asyncio.current_task()

    async def inner() -> bool:
        await asyncio.sleep(1)
        return asyncio.get_running_loop() is not outer

    assert run(inner())
    assert asyncio.get_running_loop() is outer
    assert asyncio.current_task() is task
    await asyncio.sleep(0)


def test_two_runs_of_one_story_end_at_the_same_instant() -> None:
    async def story() -> tuple[float, ...]:
        loop = asyncio.get_running_loop()
        marks: list[float] = []
        for step in (0.1, 0.2, 0.3):
            await asyncio.sleep(step)
            marks.append(loop.time())
        return tuple(marks)

    assert run(story()) == run(story())


def test_a_closed_loop_refuses_more_work() -> None:
    loop = VirtualClockLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)
