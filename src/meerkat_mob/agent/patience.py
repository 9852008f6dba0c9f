"""How long a model call is waited for: as a whole, and between two events of its stream.

A stream that says nothing is as dead as one that broke, and costs its session as much.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from meerkat_mob.errors import LlmFailed


class Patience:
    """A context around one call. ``heard`` is said at each event, and costs next to nothing.

    Raises ``LlmFailed`` (``call_timeout`` or ``network_timeout``, both retryable) in the place of
    the cancellation with which it ends the call. Times in ms; None is for ever.
    """

    def __init__(self, *, provider: str, call_ms: int | None, silence_ms: int | None) -> None:
        self._provider, self._call_ms, self._silence_ms = provider, call_ms, silence_ms
        self._loop = asyncio.get_running_loop()
        self._began = self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self.ended: LlmFailed | None = None
        """Why it ended the call; None when it did not."""

    def heard(self) -> None:
        """Something came."""
        self._last = self._loop.time()

    async def __aenter__(self) -> Patience:
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._arm()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.ended is not None and self._task is not None:
            others = self._task.uncancel() > self._cancelling
            if not others and (kind is None or issubclass(kind, asyncio.CancelledError)):
                raise self.ended from error

    def _arm(self) -> None:
        ends = [] if self._call_ms is None else [self._began + self._call_ms / 1000]
        if self._silence_ms is not None:
            ends.append(self._last + self._silence_ms / 1000)
        if ends:
            self._timer = self._loop.call_at(min(ends), self._look)

    def _look(self) -> None:
        """Once for each spell of silence, and not for each event: a timer is dearer than a look."""
        now = self._loop.time()
        if self._call_ms is not None and now >= self._began + self._call_ms / 1000:
            self._end("call_timeout", f"the call was not over after {self._call_ms} ms")
        elif self._silence_ms is not None and now >= self._last + self._silence_ms / 1000:
            self._end("network_timeout", f"the stream was silent for {self._silence_ms} ms")
        else:
            self._arm()

    def _end(self, reason: str, detail: str) -> None:
        self.ended = LlmFailed(
            provider=self._provider,
            reason=reason,
            detail=detail,
            hint="see whether the server works, or allow a call more time",
            retryable=True,
        )
        if self._task is not None:
            self._task.cancel()
