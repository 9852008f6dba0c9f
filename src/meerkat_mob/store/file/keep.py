"""One commit, written into the transaction that is open.

The rule: what is written depends on what the file holds now, and on nothing remembered, so memory
and disk cannot part. Whatever is raised here, the caller rolls this commit back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import DuplicateKey, StaleRevision, StoreCorrupt
from meerkat_mob.store.chain import GENESIS, chained, seal_of
from meerkat_mob.store.file.rows import HEAD, encode_keys, head_of
from meerkat_mob.store.protocol import Append, Head, Record

_FIND_HEAD: Final = f"SELECT {HEAD} FROM heads WHERE stream = ?"  # noqa: S608 our own words
_FIND_KEY: Final = "SELECT stream, seq FROM keys WHERE key = ?"
_KEEP_RECORD: Final = (
    "INSERT INTO records (stream, seq, kind, v, at, keys, body, chain) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_HEAD: Final = (
    "INSERT OR REPLACE INTO heads (stream, revision, at, chain, summary, seal) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_KEEP_KEY: Final = "INSERT INTO keys (key, stream, seq) VALUES (?, ?, ?)"
_KEEP_BLOB: Final = "INSERT OR IGNORE INTO blobs (id, media_type, data) VALUES (?, ?, ?)"


def keep(
    db: sqlite3.Connection, appends: Sequence[Append], blobs: Sequence[Blob], at: int
) -> tuple[Record, ...]:
    """Writes a commit and returns its records. Raises what ``Store.commit`` raises."""
    kept: list[Record] = []
    for append in appends:
        kept += _append(db, append, at)
    for blob in blobs:
        db.execute(_KEEP_BLOB, (blob.id, blob.media_type, blob.data))
    return tuple(kept)


def _append(db: sqlite3.Connection, append: Append, at: int) -> list[Record]:
    stream = append.stream
    head = _head(db, stream)
    revision, chain = (head.revision, head.chain) if head else (0, GENESIS)
    if revision != append.expected:
        raise StaleRevision(stream=stream, expected=append.expected, actual=revision)
    for key in append.unique:
        _take(db, key, stream, revision + 1)
    kept: list[Record] = []
    for seq, new in enumerate(append.records, start=revision + 1):
        keys = append.unique if seq == revision + 1 else ()
        record = chained(chain, new, stream=stream, seq=seq, at=at, keys=keys)
        told = (stream, seq, new.kind, new.v, at, encode_keys(keys), new.body, record.chain)
        db.execute(_KEEP_RECORD, told)
        kept.append(record)
        chain = record.chain
    if kept or append.head is not UNSET:
        _keep_head(db, append, head, kept)
    return kept


def _head(db: sqlite3.Connection, stream: str) -> Head | None:
    row = db.execute(_FIND_HEAD, (stream,)).fetchone()
    head = None if row is None else head_of(row)
    if head is not None and head.damaged:  # a record built on it would hide the damage
        raise StoreCorrupt(stream=stream, seq=head.revision, why="its head was changed")
    return head


def _take(db: sqlite3.Connection, key: str, stream: str, seq: int) -> None:
    taken = db.execute(_FIND_KEY, (key,)).fetchone()
    if taken is not None:
        raise DuplicateKey(key=key, stream=taken[0].decode(errors="replace"), seq=taken[1])
    db.execute(_KEEP_KEY, (key, stream, seq))


def _keep_head(
    db: sqlite3.Connection, append: Append, before: Head | None, kept: Sequence[Record]
) -> None:
    last = kept[-1] if kept else before
    if last is None:
        return  # not reached: a summary without a record was refused
    revision = last.seq if isinstance(last, Record) else last.revision
    old = before.summary if before else b""
    summary = old if append.head is UNSET else append.head
    seal = seal_of(last.chain, stream=append.stream, revision=revision, at=last.at, summary=summary)
    db.execute(_KEEP_HEAD, (append.stream, revision, last.at, last.chain, summary, seal))
