"""The reading half of a realm's file, on a connection of its own that cannot write.

The rule: a reader needs no lease and never makes the writer wait; other processes read so too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from meerkat_mob.errors import StoreClosed
from meerkat_mob.store.file import look
from meerkat_mob.store.file.lanes import Lane, ask
from meerkat_mob.store.file.schema import open_reader
from meerkat_mob.store.protocol import Blob, Head, Record

T = TypeVar("T")


class FileReader:
    """A realm that can be read. Each call sees one state of the file."""

    def __init__(self, db: sqlite3.Connection, lane: Lane, *, path: str) -> None:
        self._reading, self._reading_lane, self._path = db, lane, path
        self._reader_closed = False

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``StoreReader.read``."""
        if not _writable(stream):
            return ()
        return await self._look(stream, lambda db: look.read(db, stream, after, limit))

    async def revision(self, stream: str) -> int:
        """See ``StoreReader.revision``."""
        head = await self.head(stream)
        return head.revision if head else 0

    async def head(self, stream: str) -> Head | None:
        """See ``StoreReader.head``."""
        if not _writable(stream):
            return None
        return await self._look(stream, lambda db: look.head(db, stream))

    async def heads(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> tuple[Head, ...]:
        """See ``StoreReader.heads``."""
        if not _writable(prefix + (after or "")):
            return ()
        return await self._look(prefix, lambda db: look.heads(db, prefix, after, limit))

    async def blob(self, blob_id: str) -> Blob | None:
        """See ``StoreReader.blob``."""
        if not _writable(blob_id):
            return None
        return await self._look(blob_id, lambda db: look.blob(db, blob_id))

    async def aclose(self) -> None:
        """Closes the file. Idempotent."""
        if self._reader_closed:
            return
        self._reader_closed = True
        await ask(self._reading_lane, self._reading.close)
        self._reading_lane.close()

    async def _look(self, stream: str, at: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader_closed:
            raise StoreClosed(path=self._path)

        def work() -> T:
            with look.snapshot(self._reading, stream=stream, path=self._path):
                return at(self._reading)

        return await ask(self._reading_lane, work)


async def open_file_reader(folder: Path, *, lane: Lane) -> FileReader:
    """Opens a realm that is there, for reading only; whoever holds it is not disturbed.

    Raises ``RealmUnreadable``, and ``RealmDamaged``.
    """
    try:
        return FileReader(await ask(lane, lambda: open_reader(folder)), lane, path=str(folder))
    except BaseException:
        lane.close()
        raise


def _writable(text: str) -> bool:
    """Whether a name could have been kept at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
