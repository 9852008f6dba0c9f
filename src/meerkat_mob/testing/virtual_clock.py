"""An event loop without I/O whose clock jumps: an hour of sleeping takes no time.

``run(coroutine)`` is ``asyncio.run`` on such a loop. When every task waits and no timer is set it
raises ``ClockStuck`` and says where each task waits, and so it does when a limit is passed: a
periodic task would otherwise spin for ever. A thread cannot wake this loop, so handing work to
one is refused rather than lost. It also works inside a loop that is already running, as the
browser's always is.

This is the one file that names private parts of asyncio. Nothing here may read a real clock.
"""

# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false, reportUnknownMemberType=false
# ruff: noqa: SLF001
from __future__ import annotations

import asyncio
from asyncio import events, tasks
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from types import CoroutineType
from typing import Any, Final, Never, TypeVar

from meerkat_mob.errors import CapabilityUnavailable, ClockStuck

T = TypeVar("T")

ONE_DAY_S: Final = 86_400.0
MANY_PASSES: Final = 500_000
SHOWN_TASKS: Final = 12


class _Clock:
    """What the loop takes for its selector. Asked to wait, it moves the time instead."""

    def __init__(self, *, limit_s: float, limit_passes: int) -> None:
        self.now = 0.0
        self.passes = 0
        self._limit_s = limit_s
        self._limit_passes = limit_passes

    def select(self, timeout: float | None = None) -> Sequence[Never]:
        """No events, ever; ``timeout`` is how far the next timer is away, in seconds."""
        self.passes += 1
        if timeout is None:
            self._stop("every task waits and no timer is set")
        if self.now + timeout > self._limit_s:
            self._stop(f"the next timer lies beyond the limit of {self._limit_s:g} virtual seconds")
        if self.passes > self._limit_passes:
            self._stop(f"the loop has gone round more than {self._limit_passes} times")
        self.now += max(timeout, 0.0)
        return ()

    def _stop(self, why: str) -> Never:
        raise ClockStuck(why=why, now_s=self.now)

    def close(self) -> None:
        """Nothing is held."""


class VirtualClockLoop(asyncio.BaseEventLoop):
    """An asyncio loop in virtual time, which begins at 0.0 seconds.

    ``limit_s`` bounds the virtual time and ``limit_passes`` the rounds of the loop; past either,
    and in a deadlock, the running ``run_until_complete`` raises ``ClockStuck``.
    """

    def __init__(self, *, limit_s: float = ONE_DAY_S, limit_passes: int = MANY_PASSES) -> None:
        super().__init__()
        self._clock = _Clock(limit_s=limit_s, limit_passes=limit_passes)
        self._selector = self._clock
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now

    def run_in_executor(
        self, executor: object, func: Callable[..., object], *args: object
    ) -> Never:
        """Refused: the end of a thread's work could not wake a clock that is not real."""
        raise CapabilityUnavailable(
            capability="a thread",
            why="a thread cannot wake the virtual clock",
            instead="pass the inline runner, or run this on the native loop",
        )

    def _process_events(self, event_list: object) -> None:
        """No selector, so no events."""

    def _write_to_self(self) -> None:
        """The loop never sleeps, so it need not be woken."""


def run(
    main: Coroutine[Any, Any, T],
    *,
    limit_s: float = ONE_DAY_S,
    limit_passes: int = MANY_PASSES,
) -> T:
    """Run ``main`` to its end in virtual time and return its result.

    Tasks it leaves behind are cancelled, as ``asyncio.run`` does. Raises ``ClockStuck``, naming
    the tasks and the lines where they wait, in a deadlock or past a limit.
    """
    with _outside_any_loop():
        loop = VirtualClockLoop(limit_s=limit_s, limit_passes=limit_passes)
        try:
            return loop.run_until_complete(main)
        except ClockStuck as stuck:
            waiting = stuck.waiting or describe(asyncio.all_tasks(loop))
            raise ClockStuck(why=stuck.why, now_s=stuck.now_s, waiting=waiting) from None
        finally:
            _wind_down(loop)


def describe(pending: Iterable[asyncio.Task[Any]]) -> tuple[str, ...]:
    """One line for each task: its name, and the innermost line at which it waits."""
    lines = sorted(f"{task.get_name()} at {_place(task.get_coro())}" for task in pending)
    more = len(lines) - SHOWN_TASKS
    return (*lines[:SHOWN_TASKS], f"and {more} more") if more > 0 else tuple(lines)


def _place(awaited: object) -> str:
    """The deepest of our frames in a chain of coroutines that wait for each other."""
    place = repr(awaited)
    outermost = True
    while isinstance(awaited, CoroutineType) and awaited.cr_frame is not None:
        frame, code = awaited.cr_frame, awaited.cr_code
        if outermost or code.co_filename != tasks.__file__:
            place = f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
        awaited, outermost = awaited.cr_await, False
    return place


def _wind_down(loop: VirtualClockLoop) -> None:
    """Cancel what is left, let it end, close the loop. A stuck clock gets a last short run."""
    loop._clock._limit_passes = loop._clock.passes + 10_000
    with suppress(ClockStuck):
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@contextmanager
def _outside_any_loop() -> Generator[None, None, None]:
    """Step out of the running loop and its current task, if there are any, and back in."""
    outer = events._get_running_loop()
    task = asyncio.current_task(outer) if outer is not None else None
    if outer is not None and task is not None:
        tasks._leave_task(outer, task)
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(outer)
        if outer is not None and task is not None:
            tasks._enter_task(outer, task)
