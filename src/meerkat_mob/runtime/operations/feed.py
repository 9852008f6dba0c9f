"""The ends of a session's background work, in their order, with numbers that only grow.

The buffer is bounded: who reads too late is told how many ends it missed.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

import msgspec

from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.operations.model import OperationKind, OperationOutcome


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One end; ``seq`` from 1 without gaps, ``at`` in ms UTC."""

    seq: int
    operation_id: str
    kind: OperationKind
    display_name: str
    outcome: OperationOutcome
    at: int


class FeedSlice(msgspec.Struct, frozen=True, kw_only=True):
    """What came after a number, oldest first; ``missed`` older ones are no longer kept."""

    entries: tuple[FeedEntry, ...] = ()
    missed: int = 0


class FeedBuffer:
    """The newest ends, and the number of the last one."""

    def __init__(self, bound: int) -> None:
        self._entries: deque[FeedEntry] = deque(maxlen=bound)
        self.watermark = 0

    def append(self, entry: FeedEntry) -> None:
        """Takes the next end. Raises ``ValueError`` for a number that is not the next one."""
        if entry.seq != self.watermark + 1:
            raise ValueError(f"end {entry.seq} does not follow end {self.watermark}")
        self._entries.append(entry)
        self.watermark = entry.seq

    def list_since(self, seq: int) -> FeedSlice:
        """The ends with a greater number. Costs what is returned."""
        found = list(takewhile(lambda entry: entry.seq > seq, reversed(self._entries)))
        return FeedSlice(
            entries=tuple(reversed(found)), missed=max(0, self.watermark - seq) - len(found)
        )


class CompletionFeed:
    """The feed as many readers follow it, each from its own number."""

    def __init__(self, buffer: FeedBuffer) -> None:
        self._buffer = buffer
        self._activity = Activity()
        self._closed = False

    @property
    def watermark(self) -> int:
        """The number of the last end; 0 before the first."""
        return self._buffer.watermark

    @property
    def closed(self) -> bool:
        """Whether no further end can come."""
        return self._closed

    def list_since(self, seq: int) -> FeedSlice:
        """The ends with a greater number, oldest first."""
        return self._buffer.list_since(seq)

    async def wait_for_advance(self, seq: int) -> int:
        """Returns the watermark once it is greater than ``seq``, or the feed is closed."""
        await self._activity.until(lambda: self.watermark > seq or self._closed)
        return self.watermark

    def advanced(self) -> None:
        """Something came: whoever waits looks again."""
        self._activity.changed()

    def close(self) -> None:
        """Nothing will come any more. Idempotent."""
        self._closed = True
        self._activity.changed()
