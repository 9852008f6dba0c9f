"""Who holds a realm: the lock that the system keeps, and the row that fences a former holder.

The rule: a transaction that writes facts first looks at the epoch in the row. Taking a realm raises
it, so who held it before can never write again, however late it wakes up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Protocol

from meerkat_mob.errors import RealmFenced, RealmLocked, StoreError
from meerkat_mob.store.file.rows import shown
from meerkat_mob.store.file.schema import NOBODY, open_reader

EXPIRES_MS: Final = 30_000
"""How long a holder may be silent, where no lock tells whether it lives."""
BEAT_MS: Final = 10_000


class OsLock(Protocol):
    """Takes a file for this process, until it is released or the process ends."""

    def __call__(self, path: Path) -> Callable[[], None] | None:
        """What releases it; None when somebody else has it."""
        ...


def hold(folder: Path, path: Path, lock: OsLock | None) -> Callable[[], None]:
    """Takes the system's lock, if there is one that can be trusted; returns what releases it.

    Raises ``RealmLocked``, naming the holder.
    """
    if lock is None:
        return lambda: None
    release = lock(path)
    if release is None:
        raise RealmLocked(path=str(folder), holder=_holder_of(folder))
    return release


def _holder_of(folder: Path) -> str:
    """Who took the realm last and has not given it back. It may be making it just now."""
    with suppress(sqlite3.Error, StoreError, OSError), closing(open_reader(folder)) as db:
        row = db.execute("SELECT holder FROM lease").fetchone()
        if row and isinstance(row[0], bytes):
            return shown(row[0])
    return NOBODY


class Lease:
    """The row, as one holder of it sees it."""

    def __init__(self, db: sqlite3.Connection, folder: Path, *, holder: str) -> None:
        self._db, self._folder, self._holder = db, str(folder), holder
        self._epoch = 0
        self._beat_at = 0

    def take(self, now: int, *, by_expiry: bool) -> None:
        """Raises the epoch. ``by_expiry``: nothing but silence tells that a holder is gone.

        Raises ``RealmLocked`` while it has not been silent for long enough.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            epoch, holder, beat = self._row()
            if by_expiry and holder is not None and now - beat < EXPIRES_MS:
                raise RealmLocked(path=self._folder, holder=holder)
            # Where the row is gone nobody knows the last epoch: the time is later than any.
            self._epoch, self._beat_at = (now if epoch is None else epoch) + 1, now
            self._write(self._holder, now)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def insist(self) -> None:
        """Raises ``RealmFenced`` unless it is still ours. Called inside each transaction."""
        epoch, holder, _ = self._row()
        if epoch != self._epoch:
            raise RealmFenced(path=self._folder, holder=holder or "a process that has ended")

    def beat(self, now: int) -> None:
        """Says that we live, if we have not said so for a while. Inside a transaction."""
        if now - self._beat_at >= BEAT_MS:
            self._write(self._holder, now)
            self._beat_at = now

    def give_back(self, now: int) -> None:
        """Leaves the realm to whoever comes next. Inside a transaction."""
        self._write(None, now)

    def _row(self) -> tuple[int | None, str | None, int]:
        """Epoch, holder, and when it said so last. No epoch: the row is gone, or damaged."""
        row = self._db.execute("SELECT epoch, holder, beat FROM lease WHERE id = 1").fetchone()
        epoch, holder, beat = row or (None, None, 0)
        return (
            epoch if isinstance(epoch, int) else None,
            shown(holder) if isinstance(holder, bytes) else None,
            beat if isinstance(beat, int) else 0,
        )

    def _write(self, holder: str | None, now: int) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", (self._epoch, holder, now)
        )
