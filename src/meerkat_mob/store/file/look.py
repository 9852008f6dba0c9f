"""Looking at the file: every record that is read is checked against its chain first.

The rule: damage is told where it is, and nothing else is refused because of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Final, Never

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import StoreCorrupt, StoreFailed
from meerkat_mob.store.chain import GENESIS, follows
from meerkat_mob.store.file.rows import HEAD, RECORD, Row, head_of, rebuild, record_of
from meerkat_mob.store.file.schema import is_damage
from meerkat_mob.store.protocol import Head, Record

LARGEST: Final = 2**63 - 1

_RECORDS: Final = (
    f"SELECT {RECORD} FROM records WHERE stream = ? AND seq > ? "  # noqa: S608 our own words
    "ORDER BY seq LIMIT ?"
)
_CHAIN: Final = "SELECT chain FROM records WHERE stream = ? AND seq = ?"
ALL_HEADS: Final = f"SELECT {HEAD} FROM heads"  # noqa: S608
_HEAD: Final = f"SELECT {HEAD} FROM heads WHERE stream = ?"  # noqa: S608
_HEADS: Final = f"SELECT {HEAD} FROM heads WHERE stream >= ? ORDER BY stream LIMIT ?"  # noqa: S608
_HEADS_AFTER: Final = (
    f"SELECT {HEAD} FROM heads WHERE stream >= ? AND stream > ? "  # noqa: S608
    "ORDER BY stream LIMIT ?"
)
_BLOB: Final = "SELECT media_type, data FROM blobs WHERE id = ?"


@contextmanager
def snapshot(db: sqlite3.Connection, *, stream: str, path: str) -> Generator[None, None, None]:
    """One state of the file for several statements. Errors of SQLite leave it as our own."""
    try:
        db.execute("BEGIN")
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise StoreCorrupt(stream=stream, seq=0, why=str(error)) from error
        raise StoreFailed(path=path, why=str(error)) from error
    finally:
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")


def read(db: sqlite3.Connection, stream: str, after: int, limit: int) -> tuple[Record, ...]:
    """Records behind ``after``, each tied to the one before. Raises ``StoreCorrupt``."""
    if limit <= 0:
        return ()
    after, limit = min(max(after, 0), LARGEST), min(limit, LARGEST)
    head = _find(db, stream)
    revision = head.revision if head else 0
    if after >= revision and db.execute(_RECORDS, (stream, after, 1)).fetchone() is None:
        return ()
    previous = _chain_at(db, stream, after) if after else GENESIS
    try:
        rows = db.execute(_RECORDS, (stream, after, limit))
        records = rebuild(stream, rows, after=after, previous=previous)
    except (sqlite3.Error, ValueError):
        records = None
    if records is None or after + len(records) > revision:
        _tell_where(db, stream, after, limit, previous=previous, revision=revision)
    last = after + len(records)
    if len(records) < limit:
        if last < revision:
            raise StoreCorrupt(stream=stream, seq=last + 1, why="it is missing")
        if head is not None and records and records[-1].chain != head.chain:
            raise StoreCorrupt(stream=stream, seq=last, why="its stream's head knows another")
    return tuple(records)


def _tell_where(
    db: sqlite3.Connection, stream: str, after: int, limit: int, *, previous: bytes, revision: int
) -> Never:
    """Walks the rows once more, one by one, and raises what is wrong with the first bad one."""
    seq = after
    for seq, row in enumerate(_rows(db, stream, after, limit), start=after + 1):
        record = record_of(stream, row, seq=seq)
        if record.seq != seq:
            raise StoreCorrupt(stream=stream, seq=seq, why="it is missing")
        if seq > revision:
            raise StoreCorrupt(stream=stream, seq=seq, why="its stream's head does not know it")
        if not follows(previous, record):
            if seq == after + 1 and after:
                read(db, stream, after - 1, 1)  # raises if the fault is the record before
            raise StoreCorrupt(stream=stream, seq=seq, why="its content was changed")
        previous = record.chain
    raise StoreCorrupt(stream=stream, seq=seq, why="it could not be read twice alike")


def _rows(db: sqlite3.Connection, stream: str, after: int, limit: int) -> Iterator[Row]:
    """Row by row, so that damage of the file's pages is told with the record it comes before."""
    seq = after
    try:
        for row in db.execute(_RECORDS, (stream, after, limit)):
            yield row
            seq += 1
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        raise StoreCorrupt(stream=stream, seq=seq + 1, why=str(error)) from error


def _chain_at(db: sqlite3.Connection, stream: str, seq: int) -> bytes:
    row = db.execute(_CHAIN, (stream, seq)).fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise StoreCorrupt(stream=stream, seq=seq, why="it is missing")
    return row[0]


def _find(db: sqlite3.Connection, stream: str) -> Head | None:
    row = db.execute(_HEAD, (stream,)).fetchone()
    return None if row is None else head_of(row)


def head(db: sqlite3.Connection, stream: str) -> Head | None:
    """The head of a stream. Raises ``StoreCorrupt`` when it is not what was committed."""
    found = _find(db, stream)
    if found is None and db.execute(_RECORDS, (stream, 0, 1)).fetchone() is not None:
        raise StoreCorrupt(stream=stream, seq=1, why="its stream's head is missing")
    if found is not None and found.damaged:
        raise StoreCorrupt(stream=stream, seq=found.revision, why="its stream's head was changed")
    return found


def heads(db: sqlite3.Connection, prefix: str, after: str | None, limit: int) -> tuple[Head, ...]:
    """A page of heads, in the order of their names' bytes, which is that of their characters."""
    most = min(max(limit, 0), LARGEST)
    rows = (
        db.execute(_HEADS, (prefix, most))
        if after is None
        else db.execute(_HEADS_AFTER, (prefix, after, most))
    )
    found = map(head_of, rows)
    return tuple(takewhile(lambda head: head.stream.startswith(prefix), found))


def blob(db: sqlite3.Connection, blob_id: str) -> Blob | None:
    """A blob, if its content still is its name. Raises ``StoreCorrupt``."""
    row = db.execute(_BLOB, (blob_id,)).fetchone()
    if row is None:
        return None
    with suppress(UnicodeDecodeError, AttributeError):
        found = Blob(media_type=row[0].decode(), data=row[1].decode())
        if found.id == blob_id:
            return found
    raise StoreCorrupt(stream=blob_id, seq=0, why="its content is not its name")
