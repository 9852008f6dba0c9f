"""Holds a realm against itself, offline: every record, head, key and blob.

The rule: it changes nothing, and one finding never hides another. It proves nothing against
somebody who computes the hashes anew; it finds what was not done on purpose.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.store.chain import GENESIS, follows
from meerkat_mob.store.file import look
from meerkat_mob.store.file.lease import OsLock
from meerkat_mob.store.file.reader import open_copy_or_realm
from meerkat_mob.store.file.rows import Row, head_of, record_of, shown
from meerkat_mob.store.protocol import Head, Record

Fold: TypeAlias = Callable[[tuple[Record, ...]], bytes]
"""Makes a stream's summary from all its records."""

_ALL: Final = (-look.LARGEST, -1)
"""Behind which number, and how many."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that is not as it was committed. ``seq`` is 0 when it is not about one record."""

    code: str
    stream: str = ""
    seq: int = 0
    message: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    streams: int = 0
    records: int = 0
    keys: int = 0
    blobs: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(
    folder: Path,
    *,
    lock: OsLock | None,
    folds: Mapping[str, Fold] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Looks at everything in a realm, which may be in use.

    ``folds`` says for the beginning of a stream's name how its summary follows from its records.
    ``progress`` is told after each stream how many were looked at, and how many there are.
    Raises ``RealmUnreadable``, and ``RealmDamaged`` when nothing of the realm can be read.
    """
    db, damage, copy = open_copy_or_realm(folder, lock)
    try:
        return _Look(db, folds or {}, progress or _untold).report(damage)
    finally:
        db.close()
        if copy is not None:
            copy.cleanup()


def _untold(_done: int, _all: int) -> None:
    """Nobody watches."""


class _Look:
    """One walk through a realm, in one state of its file."""

    def __init__(
        self,
        db: sqlite3.Connection,
        folds: Mapping[str, Fold],
        progress: Callable[[int, int], None],
    ) -> None:
        self._db, self._folds, self._progress = db, folds, progress
        self._found: list[Finding] = []
        self._taken: dict[str, tuple[str, int]] = {}
        self._records = 0

    def report(self, damage: str) -> Report:
        if damage:
            self._find("log_damaged", message=damage)
        self._db.execute("BEGIN")
        self._pages()
        heads = {head.stream: head for head in map(head_of, self._rows(look.ALL_HEADS))}
        names = sorted(heads.keys() | set(self._names()))
        for number, name in enumerate(names, 1):
            self._stream(name, heads.get(name))
            self._progress(number, len(names))
        keys, blobs = self._keys(), self._blobs()
        return Report(
            streams=len(names),
            records=self._records,
            keys=keys,
            blobs=blobs,
            findings=tuple(self._found),
        )

    def _find(self, code: str, stream: str = "", seq: int = 0, *, message: str) -> None:
        self._found.append(Finding(code=code, stream=stream, seq=seq, message=message))

    def _rows(self, sql: str, *values: str | int, stream: str = "") -> Iterator[Row]:
        """What can be had of some rows; that there was more is a finding."""
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            self._find("file_damaged", stream, message=str(error))

    def _pages(self) -> None:
        for (told,) in self._rows("PRAGMA integrity_check(20)"):
            if shown(told) != "ok":
                self._find("file_damaged", message=shown(told))

    def _names(self) -> Iterator[str]:
        for (name,) in self._rows("SELECT DISTINCT stream FROM records"):
            yield shown(name)

    def _stream(self, stream: str, head: Head | None) -> None:
        previous: bytes | None = GENESIS
        kept: list[Record] = []
        seq = 0
        for row in self._rows(look.RECORDS, stream, *_ALL, stream=stream):
            seq += 1
            try:
                record = record_of(stream, row, seq=seq)
            except StoreCorrupt as error:
                self._find("record_unreadable", stream, seq, message=error.why)
                previous = None
                continue
            if record.seq != seq:
                self._missing(stream, seq, record.seq - 1)
                seq, previous = record.seq, None
            if previous is not None and not follows(previous, record):
                self._find("record_changed", stream, seq, message="its chain does not hold")
            previous = record.chain
            self._taken |= dict.fromkeys(record.keys, (stream, seq))
            kept.append(record)
        self._records += len(kept)
        self._head(stream, head, seq, kept)

    def _missing(self, stream: str, first: int, last: int) -> None:
        numbers = f"records {first} to {last}" if last > first else f"record {first}"
        self._find("record_missing", stream, first, message=f"{numbers} of it cannot be found")

    def _head(self, stream: str, head: Head | None, seq: int, kept: list[Record]) -> None:
        if head is None:
            self._find("head_missing", stream, message="it has records and no head")
            return
        if head.damaged:
            self._find("head_changed", stream, message="its head is not what was committed")
            return
        if head.revision > seq:
            self._missing(stream, seq + 1, head.revision)
        elif head.revision < seq:
            self._find("record_unknown", stream, head.revision + 1, message="its head ends before")
        elif not kept or (head.chain, head.at) != (kept[-1].chain, kept[-1].at):
            self._find("head_changed", stream, message="its head is that of another record")
        for beginning, fold in self._folds.items():
            if stream.startswith(beginning) and fold(tuple(kept)) != head.summary:
                self._find("summary_differs", stream, message="its records say something else")

    def _keys(self) -> int:
        found: dict[str, tuple[str, object]] = {}
        for key, stream, seq in self._rows("SELECT key, stream, seq FROM keys"):
            found[shown(key)] = (shown(stream), seq)
        for key in sorted(found.keys() | self._taken.keys()):
            taken = self._taken.get(key)
            if found.get(key) != taken:
                stream, seq = taken or ("", 0)
                self._find(
                    "key_differs", stream, seq, message=f"key {key!r} is not as it was taken"
                )
        return len(found)

    def _blobs(self) -> int:
        count = 0
        for (name,) in self._rows("SELECT id FROM blobs"):
            count += 1
            try:
                look.blob(self._db, shown(name))
            except (StoreCorrupt, sqlite3.Error) as error:
                self._find("blob_changed", shown(name), message=str(error))
        return count
