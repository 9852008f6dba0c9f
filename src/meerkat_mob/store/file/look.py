"""Looking at the file: every record that is read is checked against its chain first.

The rule: damage is told where it is, and nothing else is refused because of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice, takewhile
from typing import Final

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import StoreCorrupt, StoreFailed
from meerkat_mob.store.chain import GENESIS, follows
from meerkat_mob.store.file.rows import HEAD, RECORD, Row, head_of, rebuild, record_of
from meerkat_mob.store.file.schema import is_damage
from meerkat_mob.store.protocol import Head, Record

LARGEST: Final = 2**63 - 1

# Found by the index, and then held against the row's own words: either can be damaged.
_BY_INDEX: Final = (
    "FROM records AS i CROSS JOIN records AS r "
    "ON r.id = i.id AND r.stream = i.stream AND r.seq = i.seq "
    "WHERE i.stream = ? AND i.seq > ? ORDER BY i.seq LIMIT ?"
)
_ANYWHERE: Final = (
    "FROM records AS r NOT INDEXED WHERE r.stream = ? AND r.seq > ? ORDER BY r.seq LIMIT ?"
)
NUMBERED: Final = f"SELECT r.seq, {RECORD} {_BY_INDEX}"
_ANY_RECORD: Final = "SELECT 1 FROM records WHERE stream = ? LIMIT 1"
ALL_HEADS: Final = f"SELECT {HEAD} FROM heads"  # noqa: S608
_HEAD: Final = f"{ALL_HEADS} WHERE stream = ?"
_HEAD_ANYWHERE: Final = f"{ALL_HEADS} WHERE +stream = ?"
_HEADS: Final = f"{ALL_HEADS} WHERE stream >= ? ORDER BY stream"
_HEADS_AFTER: Final = f"{ALL_HEADS} WHERE stream >= ? AND stream > ? ORDER BY stream"
_BLOB: Final = "SELECT media_type, data FROM blobs WHERE id = ?"
_BLOB_ANYWHERE: Final = "SELECT media_type, data FROM blobs NOT INDEXED WHERE id = ?"
_LAST_STREAM: Final = "SELECT stream FROM records ORDER BY id DESC LIMIT 1"


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
    after, limit = min(max(after, 0), LARGEST), min(limit, LARGEST - 1)
    head = _find(db, stream)
    # Where only the index is damaged, the records can still be had by looking at all of them.
    for where in (_BY_INDEX, _ANYWHERE):
        found = None
        with _damage_is_told_later():
            found = _whole(db, where, stream, after, limit, head=head)
        if found is not None:
            return found
    raise _fault(db, stream, after, limit, head=head)


@contextmanager
def _damage_is_told_later() -> Generator[None, None, None]:
    try:
        yield
    except sqlite3.Error as error:
        if not is_damage(error):
            raise


def _whole(
    db: sqlite3.Connection, where: str, stream: str, after: int, limit: int, *, head: Head | None
) -> tuple[Record, ...] | None:
    """What ``read`` returns, if all of it is there and as it was committed."""
    revision, sql = head.revision if head else 0, f"SELECT {RECORD} {where}"
    if after >= revision and db.execute(sql, (stream, after, 1)).fetchone() is None:
        return ()
    rows: Iterator[Row] = db.execute(
        sql, (stream, after - 1, limit + 1) if after else (stream, 0, limit)
    )
    previous = GENESIS
    if after:  # what the record before is tied to was looked at with it
        *_, chain = next(rows, (None,))
        if not isinstance(chain, bytes):
            return None
        previous = chain
    records = rebuild(stream, rows, after=after, previous=previous)
    if records is None:
        return None
    last = after + len(records)
    ended = len(records) < limit
    if last > revision or (ended and last < revision):
        return None
    if ended and head is not None and records and records[-1].chain != head.chain:
        return None
    return tuple(records)


def _fault(
    db: sqlite3.Connection, stream: str, after: int, limit: int, *, head: Head | None
) -> StoreCorrupt:
    """Walks the rows once more, one by one: what is wrong with the first bad one."""
    revision = head.revision if head else 0
    begin = seq = max(after - 1, 0)
    previous = GENESIS
    rows = _rows(db, stream, begin, after - begin + limit)
    for seq, row in enumerate(rows, start=begin + 1):
        record = record_of(stream, row, seq=seq)
        if record.seq != seq:
            return StoreCorrupt(stream=stream, seq=seq, why="it is missing")
        if seq > revision:
            return StoreCorrupt(stream=stream, seq=seq, why="its stream's head does not know it")
        if seq > after and not follows(previous, record):
            if seq == after + 1 and after:
                read(db, stream, after - 1, 1)  # raises if the fault is the record before
            return StoreCorrupt(stream=stream, seq=seq, why="its content was changed")
        previous = record.chain
    if seq < min(revision, after + limit):
        return StoreCorrupt(stream=stream, seq=seq + 1, why="it is missing")
    return StoreCorrupt(stream=stream, seq=seq, why="its stream's head knows another")


def _rows(db: sqlite3.Connection, stream: str, after: int, limit: int) -> Iterator[Row]:
    """One by one, so that damage of the file's pages is told with the record that lies there.

    A cursor over all of them has taken a step too far when it hands out a row.
    """
    for seq in range(after + 1, after + limit + 1):
        try:
            row = db.execute(NUMBERED, (stream, seq - 1, 1)).fetchone()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise StoreCorrupt(stream=stream, seq=seq, why=str(error)) from error
        if row is None:
            return
        yield row


def _find(db: sqlite3.Connection, stream: str) -> Head | None:
    """The head of a stream, wherever it lies; it may be damaged. Raises ``StoreCorrupt``."""
    row: Row | None = None
    with _damage_is_told_later():
        row = _row_of_head(db, stream)
        if row is None and not _has_records(db, stream):
            return None
    if row is None:
        row = db.execute(_HEAD_ANYWHERE, (stream,)).fetchone()
    if row is None:
        raise StoreCorrupt(stream=stream, seq=1, why="its stream's head is missing")
    return head_of(row)


def _row_of_head(db: sqlite3.Connection, stream: str) -> Row | None:
    """Beside a damaged name SQLite can stop at a neighbour's row: that is not it."""
    row: Row | None = db.execute(_HEAD, (stream,)).fetchone()
    return None if row is None or row[0] != stream.encode() else row


def _has_records(db: sqlite3.Connection, stream: str) -> bool:
    return db.execute(_ANY_RECORD, (stream,)).fetchone() is not None


def head(db: sqlite3.Connection, stream: str) -> Head | None:
    """The head of a stream. Raises ``StoreCorrupt`` when it is not what was committed."""
    return _undamaged(_find(db, stream))


def head_to_build_on(db: sqlite3.Connection, stream: str) -> Head | None:
    """The same, where it belongs: a record built on damage would hide it."""
    row = _row_of_head(db, stream)
    if row is None and _has_records(db, stream):
        raise StoreCorrupt(stream=stream, seq=1, why="its stream's head is missing")
    return None if row is None else _undamaged(head_of(row))


def _undamaged(found: Head | None) -> Head | None:
    if found is not None and found.damaged:
        why = "its stream's head was changed"
        raise StoreCorrupt(stream=found.stream, seq=found.revision, why=why)
    return found


def heads(db: sqlite3.Connection, prefix: str, after: str | None, limit: int) -> tuple[Head, ...]:
    """A page of heads, in the order of their names' bytes, which is that of their characters.

    One whose name was damaged stands among the others and must not end the list.
    """
    rows = (
        db.execute(_HEADS, (prefix,))
        if after is None
        else db.execute(_HEADS_AFTER, (prefix, after))
    )
    in_reach = takewhile(lambda h: h.damaged or h.stream.startswith(prefix), map(head_of, rows))
    return tuple(islice((h for h in in_reach if h.stream.startswith(prefix)), max(limit, 0)))


def latest(db: sqlite3.Connection) -> int:
    """When the last record was kept, as far as that can be believed."""
    row = db.execute(_LAST_STREAM).fetchone()
    with suppress(StoreCorrupt, UnicodeDecodeError, AttributeError):
        last = head(db, row[0].decode()) if row else None
        return last.at if last else 0
    return 0


def blob(db: sqlite3.Connection, blob_id: str) -> Blob | None:
    """A blob, if its content still is its name. Raises ``StoreCorrupt``."""
    row = None
    with _damage_is_told_later():
        row = db.execute(_BLOB, (blob_id,)).fetchone()
    if row is None:  # nobody asks for what was never kept, so this is rare
        row = db.execute(_BLOB_ANYWHERE, (blob_id,)).fetchone()
    if row is None:
        return None
    with suppress(UnicodeDecodeError, AttributeError):
        found = Blob(media_type=row[0].decode(), data=row[1].decode())
        if found.id == blob_id:
            return found
    raise StoreCorrupt(stream=blob_id, seq=0, why="its content is not its name")
