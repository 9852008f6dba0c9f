"""A lane of its own thread. For the host: a page has no threads.

The rule: the thread never touches the loop but through ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class ThreadLane:
    """Work in one thread, which lives until the lane is closed."""

    def __init__(self, name: str) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle_s: float | None = None
        self._idle: Callable[[], None] | None = None
        # A daemon: a store that nobody closed must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """See ``Lane.start``."""
        loop = asyncio.get_running_loop()

        def task() -> None:
            result = work()
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(done, result)

        self._tasks.put(task)

    def when_idle(self, every_s: float, work: Callable[[], None]) -> None:
        """See ``Lane.when_idle``."""

        def begin() -> None:
            self._idle_s, self._idle = every_s, work

        self._tasks.put(begin)  # which also wakes a thread that waits without a limit

    def close(self) -> None:
        """See ``Lane.close``. Waits for the thread's end."""
        self._tasks.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=self._idle_s)
            except queue.Empty:
                if self._idle is not None:
                    self._idle()
                continue
            if task is None:
                return
            task()
            del task  # what it holds must not live until the next one comes
