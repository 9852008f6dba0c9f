"""A bounded window over an endless sequence, read by any number of readers.

Writers never wait and readers never hold up a writer: a reader that falls behind the window is
told how much it missed. There is one copy of each item, whatever the number of readers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """The last ``bound`` items, each with a position that only grows, from ``start``."""

    def __init__(self, bound: int, *, start: int = 0) -> None:
        self._items: deque[T] = deque(maxlen=bound)
        self._waiting: set[asyncio.Future[None]] = set()
        self.end = start
        """The position the next item will have."""
        self.closed = False

    @property
    def start(self) -> int:
        """The position of the oldest item still here."""
        return self.end - len(self._items)

    def append(self, item: T) -> None:
        """Adds an item and wakes those who wait for it."""
        self._items.append(item)
        self.end += 1
        self._wake()

    def take(self, position: int) -> tuple[int, list[T]]:
        """How many items at and after ``position`` are gone, and those that are here.

        Costs what it returns, not what is kept.
        """
        count = min(max(self.end - position, 0), len(self._items))
        newest_first = islice(reversed(self._items), count)
        return max(self.start - position, 0), list(newest_first)[::-1]

    async def wait(self, position: int) -> bool:
        """Waits until an item at ``position`` exists; False when the ring closed without one."""
        while self.end <= position and not self.closed:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        return self.end > position

    def close(self) -> None:
        """No more items. What is here can still be read."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
