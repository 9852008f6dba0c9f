"""Who holds a realm: the lock that the system keeps, and the row that fences a former holder.

The rule: a transaction that writes facts first looks at the epoch in the row. Taking a realm raises
it, so who held it before can never write again, however late it wakes up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from meerkat_mob.errors import RealmFenced, RealmLocked
from meerkat_mob.store.file.schema import DATABASE, open_reader

EXPIRES_MS: Final = 30_000
"""How long a holder may be silent, where no lock tells whether it lives."""
BEAT_MS: Final = 10_000
NOBODY: Final = "a process that has not said its name yet"


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
        raise RealmLocked(path=str(folder), holder=holder_of(folder) or NOBODY)
    return release


def holder_of(folder: Path) -> str | None:
    """Who took the realm last and has not given it back."""
    if not (folder / DATABASE).exists():
        return None
    db = open_reader(folder)
    try:
        row = db.execute("SELECT holder FROM lease").fetchone()
    finally:
        db.close()
    return row[0].decode(errors="replace") if row and row[0] is not None else None


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
            self._epoch, self._beat_at = epoch + 1, now
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

    def _row(self) -> tuple[int, str | None, int]:
        row = self._db.execute("SELECT epoch, holder, beat FROM lease WHERE id = 1").fetchone()
        if row is None:  # somebody removed the row: whoever asks has lost the realm
            return -1, None, 0
        epoch, holder, beat = row
        return epoch, None if holder is None else holder.decode(errors="replace"), beat

    def _write(self, holder: str | None, now: int) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", (self._epoch, holder, now)
        )
