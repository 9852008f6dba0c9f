"""A realm in a folder: one SQLite file, one writer, and readers that it never waits for.

The rule: a realm has one holder. Who opens it for writing takes the lock and the lease first, and
looks at the log before SQLite may touch it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import RealmDamaged, RealmUnreadable
from meerkat_mob.store.file import wal
from meerkat_mob.store.file.lanes import Lane, ask
from meerkat_mob.store.file.lease import Lease, OsLock, hold
from meerkat_mob.store.file.reader import FileReader
from meerkat_mob.store.file.schema import LOCK, open_reader, open_writer, unreadable
from meerkat_mob.store.file.writer import Writer
from meerkat_mob.store.protocol import Append, Install, Record
from meerkat_mob.store.waiting import to_the_end

MakeLane: TypeAlias = Callable[[str], Lane]
"""Makes a lane, given the name of what it is for."""


class Opened(NamedTuple):
    """What an open realm consists of. ``latest`` is the time of its last record."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    lease: Lease
    release: Callable[[], None]
    latest: int


class FileStore(FileReader):
    """The store of a realm's holder. Made by ``open_file_store``."""

    def __init__(
        self, opened: Opened, *, path: str, writing: Lane, reading: Lane, clock: Clock
    ) -> None:
        super().__init__(opened.reader, reading, path=path)
        self._release = opened.release
        self._writer = Writer(
            opened.writer, writing, opened.lease, clock=clock, path=path, latest=opened.latest
        )
        self._ending: asyncio.Task[None] | None = None

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``.

        Raises also ``StoreFailed`` (a full disk, say), ``StoreCorrupt``, ``StoreClosed`` and
        ``RealmFenced``; nothing of the commit is kept then.
        """
        return await self._writer.commit(appends, blobs=blobs, install=install)

    async def aclose(self) -> None:
        """Writes what waits, gives the realm back and closes its files. Idempotent."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await to_the_end(self._ending)

    async def _end(self) -> None:
        await super().aclose()  # the writer's is the last connection: it empties the log
        await self._writer.close(self._release)


async def open_file_store(
    folder: Path,
    *,
    clock: Clock,
    holder: str,
    lane: MakeLane,
    lock: OsLock | None,
    give_up_damage: bool = False,
) -> FileStore:
    """Opens a realm for reading and writing, and makes it if it is not there.

    ``holder`` is what others are told while we have it. ``lane`` makes what the writer and the
    reader work in. ``lock`` is the system's; None where it cannot be trusted, and then a holder
    that was silent for 30 s counts as gone. ``give_up_damage`` opens a realm whose log is damaged,
    without what lies behind the damage.

    Raises ``RealmLocked``, ``RealmUnreadable``, and ``RealmDamaged``.
    """
    writing, reading = lane("meerkat-writer"), lane("meerkat-reader")

    def work() -> Opened:
        return _open(folder, clock=clock, holder=holder, lock=lock, give_up=give_up_damage)

    opening = asyncio.ensure_future(ask(writing, work))
    try:
        opened = await to_the_end(opening)
        return FileStore(opened, path=str(folder), writing=writing, reading=reading, clock=clock)
    except BaseException:
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            await ask(writing, lambda: _close(opening.result()))  # cancelled while we opened it
        writing.close()
        reading.close()
        raise


def _open(folder: Path, *, clock: Clock, holder: str, lock: OsLock | None, give_up: bool) -> Opened:
    try:
        _make(folder)
        release = hold(folder, folder / LOCK, lock)
    except OSError as error:
        why = error.strerror or str(error)
        raise RealmUnreadable(path=str(folder), why=why.lower()) from error
    opened: list[sqlite3.Connection] = []
    try:
        log = wal.scan(folder)
        if log.damaged and not give_up:
            raise RealmDamaged(path=str(folder), found=str(log))
        opened.append(open_writer(folder))
        opened.append(open_reader(folder))
        lease = Lease(opened[0], folder, holder=holder)
        lease.take(clock(), by_expiry=lock is None)
        (latest,) = opened[0].execute("SELECT coalesce(max(at), 0) FROM heads").fetchone()
        return Opened(opened[0], opened[1], lease, release, latest)
    except BaseException as error:
        for db in opened:
            db.close()
        release()
        if isinstance(error, sqlite3.Error):
            raise unreadable(folder, error) from error
        raise


def _make(folder: Path) -> None:
    """The folder, with its own entry on the disk: a realm that is kept must also be found."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    with suppress(OSError):  # a system that cannot sync folders keeps them in another way
        descriptor = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _close(opened: Opened) -> None:
    opened.reader.close()
    opened.writer.close()
    opened.release()
