"""The one writer of a realm: every commit that waits goes into one transaction.

The rule: a commit has happened when its committer is told, and not before; what was written and
what is told cannot part. One sync of the disk serves all that waited for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import RealmFenced, StoreClosed, StoreCorrupt, StoreError, StoreFailed
from meerkat_mob.store.checks import check
from meerkat_mob.store.file import wal
from meerkat_mob.store.file.keep import keep
from meerkat_mob.store.file.lease import BEAT_MS, Lease
from meerkat_mob.store.file.schema import is_damage
from meerkat_mob.store.lanes import Lane, ask
from meerkat_mob.store.protocol import Append, Install, Record
from meerkat_mob.store.waiting import to_the_end

MOST_AT_ONCE: Final = 1000
"""Commits in one transaction; the others go into the next."""

Kept: TypeAlias = tuple[Record, ...]


class Waiting(msgspec.Struct, gc=False):
    """A commit, what it was at, and who waits for it."""

    appends: Sequence[Append]
    blobs: Sequence[Blob]
    install: Install | None
    now: int
    told: asyncio.Future[Kept]


Outcome: TypeAlias = tuple[Waiting, Kept | Exception]


class Writer:
    """Takes commits on the loop, writes them on its lane, and answers on the loop.

    The number of waiting commits needs no bound of its own: each committer waits for its own.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        lane: Lane,
        lease: Lease,
        *,
        clock: Clock,
        folder: Path,
        latest: int,
    ) -> None:
        self._db, self._lane, self._lease, self._clock = db, lane, lease, clock
        self._folder, self._last_at = folder, latest
        self._queue: deque[Waiting] = deque()
        self._open: set[asyncio.Future[Kept]] = set()
        self._writing = self._closed = self._leftovers = False
        lane.when_idle(BEAT_MS / 1000, self._beat)

    # -- on the loop ---------------------------------------------------------------------------

    async def commit(
        self, appends: Sequence[Append], *, blobs: Sequence[Blob], install: Install | None
    ) -> Kept:
        """See ``Store.commit``."""
        if self._closed:
            raise StoreClosed(path=str(self._folder))
        check(appends, blobs)
        told: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._open.add(told)
        self._queue.append(Waiting(appends, blobs, install, self._clock(), told))
        self._go_on()
        return await to_the_end(told)

    async def close(self, release: Callable[[], None]) -> None:
        """Writes what waits, gives the realm back, closes the file, and calls ``release``."""
        self._closed = True
        while self._open:
            await asyncio.wait(self._open)
        try:
            await ask(self._lane, lambda: self._end(release))
        finally:
            self._lane.close()

    def _go_on(self) -> None:
        if self._queue and not self._writing:
            self._writing = True
            self._lane.start(self._write, self._answer)

    def _answer(self, outcomes: list[Outcome]) -> None:
        self._writing = False
        for waiting, outcome in outcomes:
            self._open.discard(waiting.told)
            if isinstance(outcome, Exception):
                waiting.told.set_exception(outcome)
                continue
            try:
                if waiting.install is not None:
                    waiting.install(outcome)
            except Exception as error:  # the fault of one committer is not the others'
                waiting.told.set_exception(error)
            else:
                waiting.told.set_result(outcome)
        self._go_on()

    # -- on the lane ---------------------------------------------------------------------------

    def _write(self) -> list[Outcome]:
        """Every commit that waits now, in one transaction. Raises nothing."""
        batch: list[Waiting] = []
        while self._queue and len(batch) < MOST_AT_ONCE:
            batch.append(self._queue.popleft())
        try:
            return self._in_one_transaction(batch)
        except Exception as error:
            return [(waiting, self._told(error)) for waiting in batch]

    def _in_one_transaction(self, batch: Sequence[Waiting]) -> list[Outcome]:
        at = max(self._last_at, *(waiting.now for waiting in batch))
        with self._transaction():
            outcomes = [(waiting, self._alone(waiting, at)) for waiting in batch]
            if any(isinstance(outcome, tuple) for _, outcome in outcomes):
                self._lease.beat(at)
        self._last_at = at
        return outcomes

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        """All of it or nothing, and only while the realm is ours.

        What one that failed may have left in the log is dropped first.
        """
        if self._leftovers:
            self._leftovers = not wal.drop_unfinished(self._db, self._folder)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._lease.insist()
            yield
            before, self._leftovers = self._leftovers, True
            self._db.execute("COMMIT")
            self._leftovers = before
        except BaseException:
            with suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise

    def _alone(self, waiting: Waiting, at: int) -> Kept | Exception:
        """One commit in a savepoint of its own, so that a refused one fails alone."""
        self._db.execute("SAVEPOINT alone")
        try:
            outcome: Kept | Exception = keep(self._db, waiting.appends, waiting.blobs, at)
        except Exception as error:
            if not self._db.in_transaction:  # SQLite gave all of it up: no room, no memory
                raise
            self._db.execute("ROLLBACK TO alone")
            outcome = self._told(error)
        self._db.execute("RELEASE alone")
        return outcome

    def _told(self, error: Exception) -> Exception:
        """What a committer is told. Each gets an error of its own."""
        match error:
            case RealmFenced():
                return RealmFenced(path=error.path, holder=error.holder)
            case sqlite3.Error() if is_damage(error):
                own: StoreError = StoreCorrupt(stream="", seq=0, why=str(error))
            case sqlite3.Error() | OSError():
                own = StoreFailed(path=str(self._folder), why=str(error))
            case _:
                return error
        own.__cause__ = error
        return own

    def _beat(self) -> None:
        """Says that this holder lives. What fails here, the next commit is told."""
        with suppress(sqlite3.Error, OSError, StoreError), self._transaction():
            self._lease.beat(self._clock())

    def _end(self, release: Callable[[], None]) -> None:
        try:
            # What fails here is told to nobody: the realm is given up anyway.
            with suppress(sqlite3.Error, OSError, StoreError), self._transaction():
                self._lease.give_back(self._last_at)
            self._db.close()
        finally:
            release()
