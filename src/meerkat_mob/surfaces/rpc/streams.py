"""Open event streams of mobs: each pushes what happens to whoever listens at the other end.

``notify`` is awaited for every event, so a slow listener slows its own stream and nothing else;
what it then misses of members' runs it is told (``skipped``), and it never misses a fact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from itertools import count
from typing import Literal, TypeAlias

import msgspec

from meerkat_mob.errors import InvalidParams
from meerkat_mob.mob import AnyEvent, Mob


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Params of ``mob/stream_event``: an event has ``kind``, ``envelope`` or ``skipped``."""

    stream_id: str
    event: AnyEvent


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Params of ``mob/stream_end``: closed by the listener, or the mob is over."""

    stream_id: str
    reason: Literal["closed", "mob_ended"]


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A message that nobody asked for and nobody answers."""

    method: str
    params: object


Notify: TypeAlias = Callable[[Notification], Awaitable[None]]


def stream_ids() -> Callable[[], str]:
    """A maker of ids that are never used twice: ``stream-1``, ``stream-2`` and so on."""
    numbers = count(1)
    return lambda: f"stream-{next(numbers)}"


class Streams:
    """The open streams of one connection. ``ids`` names them."""

    def __init__(self, notify: Notify, ids: Callable[[], str]) -> None:
        self._notify, self._ids = notify, ids
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def open(self, mob: Mob, *, member: str | None = None, after: int | None = None) -> str:
        """Begins to push events after a cursor (None: from now), of one member if one is named.

        Raises ``MemberNotFound``: a stream of nobody would stay silent for ever.
        Nothing is pushed before the caller waits for something, so it can tell the id first.
        """
        stream_id = self._ids()
        pump = self._pump(stream_id, mob.events(after=after, member=member))
        task = asyncio.create_task(pump, name=f"{stream_id} of mob {mob.id}")
        self._tasks[stream_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream_id, None))
        return stream_id

    async def _pump(self, stream_id: str, events: AsyncGenerator[AnyEvent, None]) -> None:
        async with aclosing(events):
            async for event in events:
                pushed = StreamEvent(stream_id=stream_id, event=event)
                await self._notify(Notification(method="mob/stream_event", params=pushed))
        await self._end(StreamEnd(stream_id=stream_id, reason="mob_ended"))

    async def close(self, stream_id: str) -> None:
        """Ends a stream. Raises ``InvalidParams`` when there is none of that id."""
        task = self._tasks.get(stream_id)
        if task is None:
            raise InvalidParams(
                what=f"no open stream {stream_id!r}",
                path="stream_id",
                hint=f"open are: {', '.join(self._tasks) or 'none'}",
            )
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            await self._end(StreamEnd(stream_id=stream_id, reason="closed"))

    async def _end(self, end: StreamEnd) -> None:
        await self._notify(Notification(method="mob/stream_end", params=end))

    async def drain(self) -> None:
        """Waits until every stream has ended by itself, as it does once its mob is over."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def aclose(self) -> None:
        """Ends every stream without a word. Idempotent."""
        for task in self._tasks.values():
            task.cancel()
        await self.drain()
