"""Stores that give trouble: each stands in front of a real one and passes on what it lets pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import StoreFailed
from meerkat_mob.store import Append, Head, Install, Record, Store, to_the_end

Breaks: TypeAlias = Callable[[int], bool]


def _never(_: int) -> bool:
    return False


def _always(_: int) -> bool:
    return True


class StoreBefore:
    """A store in front of another one, which ``over`` gives it. Lets everything pass."""

    _behind: Store

    def over(self, store: Store) -> Store:
        """Stands in front of ``store`` from now on."""
        self._behind = store
        return self

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``."""
        return await self._behind.commit(appends, blobs=blobs, install=install)

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``StoreReader.read``."""
        return await self._behind.read(stream, after=after, limit=limit)

    async def revision(self, stream: str) -> int:
        """See ``StoreReader.revision``."""
        return await self._behind.revision(stream)

    async def head(self, stream: str) -> Head | None:
        """See ``StoreReader.head``."""
        return await self._behind.head(stream)

    async def heads(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> tuple[Head, ...]:
        """See ``StoreReader.heads``."""
        return await self._behind.heads(prefix, after=after, limit=limit)

    async def blob(self, blob_id: str) -> Blob | None:
        """See ``StoreReader.blob``."""
        return await self._behind.blob(blob_id)

    async def aclose(self) -> None:
        """See ``StoreReader.aclose``."""
        await self._behind.aclose()


class BreakingStore(StoreBefore):
    """Its disk fails. ``breaks`` is asked for each commit by its number, from 1.

    ``reads`` says whether records and blobs can be read. What failed was not written.
    """

    def __init__(self, breaks: Breaks = _never) -> None:
        self.breaks: Breaks = breaks
        self.reads = True
        self.commits = 0
        """How many were asked for so far."""

    def die(self) -> None:
        """From now on nothing is written any more, as if the process had ended here."""
        self.breaks = _always

    def recover(self) -> None:
        """Everything can be written and read again."""
        self.breaks, self.reads = _never, True

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``."""
        self.commits += 1
        if self.breaks(self.commits):
            raise StoreFailed(path="the disk", why="no space is left")
        return await super().commit(appends, blobs=blobs, install=install)

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``StoreReader.read``."""
        self._insist_on_reading()
        return await super().read(stream, after=after, limit=limit)

    async def blob(self, blob_id: str) -> Blob | None:
        """See ``StoreReader.blob``."""
        self._insist_on_reading()
        return await super().blob(blob_id)

    def _insist_on_reading(self) -> None:
        if not self.reads:
            raise StoreFailed(path="the disk", why="it cannot be read")


class HeldStore(StoreBefore):
    """Its disk takes its time: commits wait for one gate, reads of records for another."""

    def __init__(self) -> None:
        self.commits, self.reads = asyncio.Event(), asyncio.Event()
        self.waiting = 0
        """How many commits and reads wait."""
        self.let_go()

    def hold(self, *gates: asyncio.Event) -> None:
        """What comes through these gates waits from now on."""
        for gate in gates:
            gate.clear()

    def gate_for_reads(self, *, is_open: bool) -> asyncio.Event:
        """A new gate, for later reads: those that wait now wait for the former one, on and on."""
        self.reads = asyncio.Event()
        if is_open:
            self.reads.set()
        return self.reads

    def let_go(self) -> None:
        """Everything goes on."""
        self.commits.set()
        self.reads.set()

    async def _wait(self, gate: asyncio.Event) -> None:
        self.waiting += 1
        try:
            await gate.wait()
        finally:
            self.waiting -= 1

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``. One that is cancelled while it waits happens all the same."""

        async def late() -> tuple[Record, ...]:
            await self._wait(self.commits)
            return await self._behind.commit(appends, blobs=blobs, install=install)

        return await to_the_end(asyncio.ensure_future(late()))

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``StoreReader.read``. What is read is what was there before the wait."""
        found = await super().read(stream, after=after, limit=limit)
        await self._wait(self.reads)
        return found


class ForgetfulStore(StoreBefore):
    """It has lost every blob."""

    async def blob(self, blob_id: str) -> Blob | None:
        """See ``StoreReader.blob``."""
        del blob_id
        return None
