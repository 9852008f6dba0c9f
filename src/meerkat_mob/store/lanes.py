"""Where a store's work on its file is done: in a thread, or inline.

A lane does one piece of work after another, in the order in which they were given. The code that
uses one is the same for every kind, so what holds inline holds in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Lane(Protocol):
    """Somewhere to work. ``start`` is called on the loop, and answers there."""

    def start(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Does ``work``, which must not raise, and then calls ``done`` on the loop."""
        ...

    def when_idle(self, every_s: float, work: Callable[[], None]) -> None:
        """Does ``work`` on the lane after each ``every_s`` seconds without other work."""
        ...

    def close(self) -> None:
        """Ends the lane once the work given so far is done. Idempotent."""
        ...


class InlineLane:
    """Work on the loop itself, in its next pass: what was given until then is done together.

    For a page, which has no threads, and for the virtual clock, which no thread can wake. It has
    no cadence of its own.
    """

    def start(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """See ``Lane.start``."""
        asyncio.get_running_loop().call_soon(lambda: done(work()))

    def when_idle(self, every_s: float, work: Callable[[], None]) -> None:
        """Never: nothing here goes on by itself."""

    def close(self) -> None:
        """Nothing is held."""


async def ask(lane: Lane, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done on the lane. A cancel does not stop the work."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def guarded() -> tuple[T, None] | tuple[None, Exception]:
        try:
            return work(), None
        except Exception as error:  # it belongs to whoever asked, not to the lane
            return None, error

    def done(outcome: tuple[T, None] | tuple[None, Exception]) -> None:
        if answer.done():
            return
        if outcome[1] is None:
            answer.set_result(outcome[0])
        else:
            answer.set_exception(outcome[1])

    lane.start(guarded, done)
    return await answer
