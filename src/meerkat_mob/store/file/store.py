"""A realm in a folder: one SQLite file, one writer, and readers that it never waits for.

The rule: a realm has one holder. Who opens it for writing takes the lock and the lease first, and
looks at the log before SQLite may touch it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import RealmDamaged
from meerkat_mob.store.file import look, wal
from meerkat_mob.store.file.lease import Lease, OsLock, hold
from meerkat_mob.store.file.reader import FileReader
from meerkat_mob.store.file.schema import (
    DATABASE,
    LOCK,
    ends_in_a_page,
    open_reader,
    open_writer,
    opening,
    step_up,
)
from meerkat_mob.store.file.writer import Writer
from meerkat_mob.store.lanes import Lane, ask
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
        self, opened: Opened, *, folder: Path, writing: Lane, reading: Lane, clock: Clock
    ) -> None:
        super().__init__(opened.reader, reading, path=str(folder))
        self._release = opened.release
        self._writer = Writer(
            opened.writer, writing, opened.lease, clock=clock, folder=folder, latest=opened.latest
        )

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

    async def _end(self) -> None:
        """Writes what waits, gives the realm back and closes its files."""
        try:
            await super()._end()  # the writer's is the last connection: it empties the log
        finally:
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

    def store(opened: Opened) -> FileStore:
        return FileStore(opened, folder=folder, writing=writing, reading=reading, clock=clock)

    task = asyncio.ensure_future(ask(writing, work))
    try:
        opened = await to_the_end(task)
    except (Exception, asyncio.CancelledError):
        if not task.cancelled() and task.exception() is None:  # cancelled while it was opened
            await store(task.result()).aclose()
        else:
            writing.close()
            reading.close()
        raise
    return store(opened)


def _open(folder: Path, *, clock: Clock, holder: str, lock: OsLock | None, give_up: bool) -> Opened:
    with opening(folder):
        _make(folder)
        release = hold(folder, folder / LOCK, lock)
        with ExitStack() as held:
            held.callback(release)
            if not give_up:
                _insist_on_a_whole_log(folder)
            writer = held.enter_context(closing(open_writer(folder)))
            wal.drop_unfinished(writer, folder)
            if ends_in_a_page(folder) and not give_up:
                raise RealmDamaged(path=str(folder), found=f"{DATABASE} ends in a page")
            step_up(writer)
            reader = held.enter_context(closing(open_reader(folder)))
            lease = Lease(writer, folder, holder=holder)
            lease.take(clock(), by_expiry=lock is None)
            opened = Opened(writer, reader, lease, release, look.latest(reader))
            held.pop_all()
            return opened


def _insist_on_a_whole_log(folder: Path) -> None:
    log, file = wal.scan(folder), folder / DATABASE
    if log.damaged:
        raise RealmDamaged(path=str(folder), found=str(log))
    if log.last and not (file.exists() and file.stat().st_size):  # SQLite would begin anew
        raise RealmDamaged(path=str(folder), found=f"{DATABASE} is gone, and its log is not")


def _make(folder: Path) -> None:
    """The folder, and its entry on the disk: a realm that is kept must also be found."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        with suppress(OSError):  # a system that cannot sync folders keeps them in another way
            descriptor = os.open(place.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
