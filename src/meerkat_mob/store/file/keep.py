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
from meerkat_mob.store.file.look import head_to_build_on
from meerkat_mob.store.file.rows import encode_keys, shown
from meerkat_mob.store.file.schema import is_damage
from meerkat_mob.store.protocol import Append, Head, Record

_FIND_KEY: Final = "SELECT stream, seq, key FROM keys WHERE key = ?"
_KEEP_RECORD: Final = (
    "INSERT INTO records (stream, seq, kind, v, at, keys, body, chain) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_HEAD: Final = (
    "INSERT OR REPLACE INTO heads (stream, revision, at, chain, summary, seal) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_KEEP_KEY: Final = "INSERT INTO keys (key, stream, seq) VALUES (?, ?, ?)"
# One that is there already is written again only if it is not what it was.
_KEEP_BLOB: Final = (
    "INSERT INTO blobs (id, media_type, data) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
    "SET media_type = excluded.media_type, data = excluded.data "
    "WHERE media_type IS NOT excluded.media_type OR data IS NOT excluded.data"
)


def keep(
    db: sqlite3.Connection, appends: Sequence[Append], blobs: Sequence[Blob], at: int
) -> tuple[Record, ...]:
    """Writes a commit and returns its records. Raises what ``Store.commit`` raises."""
    kept: list[Record] = []
    for append in appends:
        try:
            kept += _append(db, append, at)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise StoreCorrupt(stream=append.stream, seq=0, why=str(error)) from error
    for blob in blobs:
        db.execute(_KEEP_BLOB, (blob.id, blob.media_type, blob.data))
    return tuple(kept)


def _append(db: sqlite3.Connection, append: Append, at: int) -> list[Record]:
    stream = append.stream
    revision, last_at, chain, summary = _state(head_to_build_on(db, stream))
    if revision != append.expected:
        raise StaleRevision(stream=stream, expected=append.expected, actual=revision)
    for key in append.unique:
        _take(db, key, stream, revision + 1)
    kept: list[Record] = []
    for seq, new in enumerate(append.records, start=revision + 1):
        keys = append.unique if seq == append.expected + 1 else ()
        record = chained(chain, new, stream=stream, seq=seq, at=at, keys=keys)
        told = (stream, seq, new.kind, new.v, at, encode_keys(keys), new.body, record.chain)
        db.execute(_KEEP_RECORD, told)
        kept.append(record)
        revision, last_at, chain = seq, at, record.chain
    if append.head is not UNSET:
        summary = append.head
    if kept or append.head is not UNSET:
        seal = seal_of(chain, stream=stream, revision=revision, at=last_at, summary=summary)
        db.execute(_KEEP_HEAD, (stream, revision, last_at, chain, summary, seal))
    return kept


def _state(head: Head | None) -> tuple[int, int, bytes, bytes]:
    """Revision, time and chain of a stream's last record, and its summary."""
    return (head.revision, head.at, head.chain, head.summary) if head else (0, 0, GENESIS, b"")


def _take(db: sqlite3.Connection, key: str, stream: str, seq: int) -> None:
    taken = db.execute(_FIND_KEY, (key,)).fetchone()
    if taken is not None and taken[2] == key.encode():  # and not of a neighbour
        raise DuplicateKey(key=key, stream=shown(taken[0]), seq=taken[1])
    db.execute(_KEEP_KEY, (key, stream, seq))
