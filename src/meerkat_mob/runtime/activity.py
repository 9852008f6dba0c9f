"""Waiting for a condition over state that changes in steps, without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Activity:
    """Whoever changes the state says so; whoever waits looks again then, and only then."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        """Lets everyone who waits look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once ``condition`` holds. It is asked now, and after each change."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
