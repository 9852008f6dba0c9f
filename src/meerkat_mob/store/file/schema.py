"""The tables of a realm's file, and how its connections are opened.

The rule: a released format is never changed. A new one is a new step in ``STEPS``, and a new
realm in the corpus of the tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from meerkat_mob.errors import RealmDamaged, RealmLocked, RealmUnreadable

DATABASE: Final = "realm.sqlite3"
LOCK: Final = "realm.lock"
APPLICATION_ID: Final = 0x6D65_6572
PAGE_SIZE: Final = 8192
"""Seven records of a kilobyte fill a page nearly; of 4,096 bytes they would waste a quarter."""
READER_CACHE: Final = 16 * 1024
"""KiB of the file that a reader keeps in memory."""
PATIENCE_MS: Final = 5000
"""How long SQLite waits for others, who hold the file for a moment only."""
NOBODY: Final = "a process that has not said its name yet"

STEPS: Final = (
    (
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY, stream TEXT NOT NULL, seq INTEGER NOT NULL,
            kind TEXT NOT NULL, v INTEGER NOT NULL, at INTEGER NOT NULL, keys TEXT,
            body BLOB NOT NULL, chain BLOB NOT NULL, UNIQUE (stream, seq))""",
        """CREATE TABLE heads (
            stream TEXT PRIMARY KEY, revision INTEGER NOT NULL, at INTEGER NOT NULL,
            chain BLOB NOT NULL, summary BLOB NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE keys (
            key TEXT PRIMARY KEY, stream TEXT NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE blobs (
            id TEXT UNIQUE NOT NULL, media_type TEXT NOT NULL, data TEXT NOT NULL)""",
        """CREATE TABLE lease (
            id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, holder TEXT,
            beat INTEGER NOT NULL)""",
        "INSERT INTO lease VALUES (1, 0, NULL, 0)",
    ),
)
FORMAT: Final = len(STEPS)


def open_writer(folder: Path) -> sqlite3.Connection:
    """The connection that writes; makes the file if need be, and ``step_up`` its tables.

    Every commit on it is on the disk when it returns: WAL with ``synchronous=FULL``. Raises
    ``RealmUnreadable``, and what SQLite raises: see ``opening``.
    """
    db = _connect(folder / DATABASE, "rwc")
    try:
        _insist_on_ours(db, folder)
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # of a new file; an older one has its own
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise RealmUnreadable(path=str(folder), why="its file system has no shared memory")
        # No page reaches the log before its commit, so nothing lies behind the last one.
        for pragma in ("synchronous = FULL", "fullfsync = ON", "cache_spill = OFF"):
            db.execute(f"PRAGMA {pragma}")
        db.text_factory = bytes
    except BaseException:
        db.close()
        raise
    return db


def open_reader(folder: Path) -> sqlite3.Connection:
    """A connection that cannot write. Texts come as bytes: damaged ones must not stop a read.

    Raises ``RealmUnreadable`` when there is no realm of a format known here, and what SQLite
    raises: see ``opening``.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise RealmUnreadable(path=str(folder), why=f"there is no {DATABASE} in it")
    try:
        return _for_reading(folder, "ro")
    except sqlite3.Error as error:
        cannot = _code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        if not cannot or Path(f"{path}-wal").exists():
            raise
    # Where nobody may write there is no place for what SQLite's connections share.
    return _for_reading(folder, "ro&immutable=1")


def _for_reading(folder: Path, mode: str) -> sqlite3.Connection:
    db = _connect(folder / DATABASE, mode)
    try:
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA writable_schema = ON")  # or a file that was cut could not be read at all
        db.execute(f"PRAGMA cache_size = -{READER_CACHE}")
        _insist_on_ours(db, folder, made=True)
    except BaseException:
        db.close()
        raise
    db.text_factory = bytes
    return db


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(
        address, uri=True, timeout=PATIENCE_MS / 1000, isolation_level=None, check_same_thread=False
    )
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _insist_on_ours(db: sqlite3.Connection, folder: Path, *, made: bool = False) -> None:
    application, version = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (made or application or version or tables):
        raise RealmUnreadable(path=str(folder), why=f"{DATABASE} is not a realm's")
    if version > FORMAT:
        raise RealmUnreadable(
            path=str(folder),
            why=f"it has format {version}, and formats up to {FORMAT} are known here",
            hint="open it with the version that wrote it, or a later one",
        )


def step_up(db: sqlite3.Connection) -> None:
    """Makes the tables, or brings an older format to the newest, in one transaction."""
    if db.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        return
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()  # another may just have done it
    for step in STEPS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")
    # Out of the log, where damage would hide that this is a realm at all.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file's own order is broken, and not that the disk refuses.

    Our statements do not change: one that is wrong all at once misses a table that is gone, and
    one that breaks a constraint met a row that nobody knew of.
    """
    return _code(error) in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
    )


def ends_in_a_page(folder: Path) -> bool:
    """Whether the file was cut. SQLite reads the rest of a page as if it were empty."""
    return (folder / DATABASE).stat().st_size % PAGE_SIZE != 0


@contextmanager
def opening(folder: Path) -> Generator[None, None, None]:
    """Says in our words why a realm cannot be opened."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RealmUnreadable(path=str(folder), why=why) from error
    except sqlite3.Error as error:
        if _code(error) == sqlite3.SQLITE_BUSY:  # in the midst of a write, or stopped there
            raise RealmLocked(path=str(folder), holder=NOBODY) from error
        if is_damage(error) and _code(error) != sqlite3.SQLITE_NOTADB:
            raise RealmDamaged(path=str(folder), found=str(error)) from error
        raise RealmUnreadable(path=str(folder), why=str(error)) from error
