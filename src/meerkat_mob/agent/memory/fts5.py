"""The index of a realm that is kept in a folder: SQLite's FTS5, in a file of its own.

Nothing is lost with that file. One that is damaged, or of another version, is thrown away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

from meerkat_mob.agent.memory.entries import Hit, MemoryEntry
from meerkat_mob.agent.memory.words import best, words
from meerkat_mob.store.lanes import Lane, ask

T = TypeVar("T")
FILE: Final = "memory.sqlite3"
FORMAT: Final = 1
"""Of the tables, and of how words are found in a text."""

_MAKE: Final = """
CREATE TABLE mark (session TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, number INTEGER NOT NULL,
    role TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX entry_of ON entry (session);
CREATE VIRTUAL TABLE found USING fts5 (words, tokenize = "unicode61 tokenchars '_'");
"""


class Fts5Index:
    """See ``MemoryIndex``. The file is opened, or made, when it is asked for the first time."""

    def __init__(self, folder: Path, *, lane: Callable[[], Lane]) -> None:
        self._path, self._new_lane = folder / FILE, lane
        self._lane: Lane | None = None
        self._db: sqlite3.Connection | None = None

    async def mark(self, session_id: str) -> int:
        """See ``MemoryIndex.mark``."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT at FROM mark WHERE session = ?", (session_id,)).fetchone()
            return int(row[0]) if row else 0

        return await self._do(work)

    async def put(self, session_id: str, mark: int, entries: Sequence[MemoryEntry]) -> None:
        """See ``MemoryIndex.put``."""

        def work(db: sqlite3.Connection) -> None:
            with db:
                _remove(db, session_id)
                for number, entry in enumerate(entries):
                    row = (session_id, number, entry.role, entry.text)
                    made = db.execute(
                        "INSERT INTO entry (session, number, role, text) VALUES (?, ?, ?, ?)", row
                    )
                    text = " ".join(map(_spelt, words(entry.text)))
                    db.execute(
                        "INSERT INTO found (rowid, words) VALUES (?, ?)", (made.lastrowid, text)
                    )
                db.execute("INSERT INTO mark VALUES (?, ?)", (session_id, mark))

        await self._do(work)

    async def search(self, session_id: str, query: str, limit: int) -> tuple[Hit, ...]:
        """See ``MemoryIndex.search``."""
        wanted = " OR ".join(f'"{_spelt(word)}"' for word in dict.fromkeys(words(query)))

        def work(db: sqlite3.Connection) -> tuple[Hit, ...]:
            rows = db.execute(
                "SELECT number, -bm25(found) FROM found JOIN entry ON entry.id = found.rowid"
                " WHERE found MATCH ? AND session = ?",
                (wanted, session_id),
            )
            return tuple(_hit(db, session_id, *one) for one in best(rows, limit))

        return await self._do(work) if wanted else ()

    async def forget(self, session_id: str) -> None:
        """See ``MemoryIndex.forget``. A file that is not there is not made for it."""

        def work(db: sqlite3.Connection) -> None:
            with db:
                _remove(db, session_id)

        if self._db is not None or self._path.exists():
            await self._do(work)

    async def aclose(self) -> None:
        """See ``MemoryIndex.aclose``."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await ask(lane, self._close)
            lane.close()

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._lane is None:
            self._lane = self._new_lane()
        return await ask(self._lane, lambda: work(self._opened()))

    # -- on the lane ---------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = _usable(self._path) or _made(self._path)
        return self._db

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def is_available() -> bool:
    """Whether this Python's SQLite has FTS5; nearly every one does."""
    with closing(sqlite3.connect(":memory:")) as db:
        return bool(db.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0])


def _usable(path: Path) -> sqlite3.Connection | None:
    """The file as it is; None when it is not there, or of no use."""
    if not path.exists():
        return None
    db = sqlite3.connect(path, check_same_thread=False)
    with suppress(sqlite3.DatabaseError):
        told = db.execute("PRAGMA user_version").fetchone()[0]
        if told == FORMAT and db.execute("PRAGMA quick_check").fetchone()[0] == "ok":
            return db
    db.close()
    return None


def _made(path: Path) -> sqlite3.Connection:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(_MAKE)
    db.execute(f"PRAGMA user_version = {FORMAT}")  # last: what is half made is of no use
    return db


def _remove(db: sqlite3.Connection, session_id: str) -> None:
    of_session = "(SELECT id FROM entry WHERE session = ?)"
    db.execute(f"DELETE FROM found WHERE rowid IN {of_session}", (session_id,))  # noqa: S608 (ours)
    db.execute("DELETE FROM entry WHERE session = ?", (session_id,))
    db.execute("DELETE FROM mark WHERE session = ?", (session_id,))


def _hit(db: sqlite3.Connection, session_id: str, number: int, score: float) -> Hit:
    role, text = db.execute(
        "SELECT role, text FROM entry WHERE session = ? AND number = ?", (session_id, number)
    ).fetchone()
    return Hit(number=number, entry=MemoryEntry(role=role, text=text), score=score)


def _spelt(word: str) -> str:
    """A word as SQLite is told it: its own idea of letters never comes into it."""
    return word if word.isascii() else f"_{word.encode().hex()}"
