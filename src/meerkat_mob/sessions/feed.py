"""The events of one session: numbered, kept for a while, watched by anyone.

Numbers only grow, over all runs of the session (EPH-8). The last 1,024 are kept; who asks for
older ones, or is too slow, gets a ``stream_truncated`` first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

from meerkat_mob.core.events import AgentEvent, EventEnvelope, StreamTruncated
from meerkat_mob.core.ids import Clock
from meerkat_mob.sessions.ring import Ring

KEPT: Final = 1024
Watch = Callable[[EventEnvelope], None]


class EventFeed:
    """One session's stream, numbered behind ``after``. Watchers are called at once."""

    def __init__(
        self, source_id: str, *, clock: Clock, ids: Callable[[], str], after: int = 0
    ) -> None:
        self._source_id, self._clock, self._ids = source_id, clock, ids
        self._ring: Ring[EventEnvelope] = Ring(KEPT, start=after)
        self._watchers: list[Watch] = []

    @property
    def last(self) -> int:
        """The number of the newest event, or the one that the first will follow."""
        return self._ring.end

    def emit(self, event: AgentEvent) -> None:
        """Numbers an event and gives it to everyone.

        A watcher that raises is let go of, and the loop is told: watching never stops a run
        (EVN-3).
        """
        envelope = self._envelope(event, self._ring.end + 1)
        self._ring.append(envelope)
        for watch in tuple(self._watchers):
            try:
                watch(envelope)
            except Exception as error:  # it is not this run's fault
                self._unwatch(watch)
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a watcher of session events was let go of", "exception": error}
                )

    def watch(self, watcher: Watch) -> Callable[[], None]:
        """Calls ``watcher`` for each event from now on; returns how to stop that."""
        self._watchers.append(watcher)
        return lambda: self._unwatch(watcher)

    def _unwatch(self, watcher: Watch) -> None:
        with suppress(ValueError):
            self._watchers.remove(watcher)

    def close(self) -> None:
        """Ends every subscription once it has seen what is here."""
        self._ring.close()

    def subscribe(self, after: int | None = None) -> AsyncGenerator[EventEnvelope, None]:
        """Events with ``seq > after``, then what happens; None means from now.

        The position is taken when this is called, not when the iteration begins.
        """
        return self._read(self._ring.end if after is None else max(after, 0))

    async def _read(self, position: int) -> AsyncGenerator[EventEnvelope, None]:
        while await self._ring.wait(position):
            missed, found = self._ring.take(position)
            if missed:
                reason = f"{missed} events were no longer kept"
                yield self._envelope(StreamTruncated(reason=reason), position + missed)
            position = self._ring.end
            for envelope in found:
                yield envelope

    def _envelope(self, event: AgentEvent, seq: int) -> EventEnvelope:
        return EventEnvelope(
            event_id=self._ids(),
            source_id=self._source_id,
            seq=seq,
            timestamp_ms=self._clock(),
            payload=event,
        )
