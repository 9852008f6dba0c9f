"""The reading half of a realm's file, on a connection of its own that cannot write.

The rule: a reader needs no lease and never makes the writer wait; other processes read so too.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, TypeVar

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import StoreClosed
from meerkat_mob.store.file import look, wal
from meerkat_mob.store.file.lease import OsLock
from meerkat_mob.store.file.schema import DATABASE, LOCK, open_reader, opening
from meerkat_mob.store.lanes import Lane, ask
from meerkat_mob.store.protocol import Head, Record
from meerkat_mob.store.waiting import to_the_end

T = TypeVar("T")
Look: TypeAlias = tuple[sqlite3.Connection, str, TemporaryDirectory[str] | None]


class FileReader:
    """A realm that can be read. Each call sees one state of the file."""

    def __init__(
        self,
        db: sqlite3.Connection,
        lane: Lane,
        *,
        path: str,
        damage: str = "",
        copy: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._reading, self._reading_lane, self._path = db, lane, path
        self._copy = copy
        self.damage = damage
        """What is wrong with the file as a whole; empty when nothing was found."""
        self._ending: asyncio.Task[None] | None = None

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
        """See ``StoreReader.aclose``. Goes on to its end, also when cancelled meanwhile."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await to_the_end(self._ending)

    async def _end(self) -> None:
        try:
            await ask(self._reading_lane, self._reading.close)
        finally:
            self._reading_lane.close()
            if self._copy is not None:
                self._copy.cleanup()

    async def _look(self, stream: str, at: Callable[[sqlite3.Connection], T]) -> T:
        if self._ending is not None:
            raise StoreClosed(path=self._path)

        def work() -> T:
            with look.snapshot(self._reading, stream=stream, path=self._path):
                return at(self._reading)

        return await ask(self._reading_lane, work)


async def open_file_reader(folder: Path, *, lane: Lane, lock: OsLock | None) -> FileReader:
    """Opens a realm that is there, for reading only; whoever holds it is not disturbed.

    A realm whose log is damaged is read from a copy of which SQLite drops nothing: what is damaged
    in it is told by the records concerned, and ``FileReader.damage`` says that it is so. Raises
    ``RealmUnreadable``, and ``RealmDamaged`` when nothing of it can be read.
    """

    def reader(opened: Look) -> FileReader:
        db, damage, copy = opened
        return FileReader(db, lane, path=str(folder), damage=damage, copy=copy)

    task = asyncio.ensure_future(ask(lane, lambda: open_copy_or_realm(folder, lock)))
    try:
        opened = await to_the_end(task)
    except (Exception, asyncio.CancelledError):
        if not task.cancelled() and task.exception() is None:  # cancelled while it was opened
            await reader(task.result()).aclose()
        else:
            lane.close()
        raise
    return reader(opened)


def open_copy_or_realm(folder: Path, lock: OsLock | None) -> Look:
    """A connection, what is wrong with the log, and the copy it looks at if there is one."""
    with opening(folder):
        damage = _damage_of(folder, lock)
        if not damage:
            return open_reader(folder), "", None
        with ExitStack() as held:
            copy = TemporaryDirectory(prefix="meerkat-realm-")
            held.callback(copy.cleanup)
            shutil.copyfile(folder / DATABASE, Path(copy.name, DATABASE))
            whole = wal.resealed((folder / wal.LOG).read_bytes())
            Path(copy.name, wal.LOG).write_bytes(whole)
            opened = open_reader(Path(copy.name)), damage, copy
            held.pop_all()
            return opened


def _damage_of(folder: Path, lock: OsLock | None) -> str:
    """A log that somebody writes to has no end yet: it counts as it is when nobody does."""
    if not wal.scan(folder).damaged or _is_held(folder, lock):
        return ""
    log = wal.scan(folder)
    return str(log) if log.damaged else ""


def _is_held(folder: Path, lock: OsLock | None) -> bool:
    """Asked only where the log looks damaged: to look takes the lock, if only for a moment."""
    if lock is None or not (folder / LOCK).exists():
        return False
    release = lock(folder / LOCK)
    if release is not None:
        release()
    return release is None


def _writable(text: str) -> bool:
    """Whether a name could have been kept at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
