"""Holds a realm against itself, offline: every record, head, key and blob.

The rule: it changes nothing, and one finding never hides another. It proves nothing against
somebody who computes the hashes anew; it finds what was not done on purpose.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.store.chain import GENESIS, follows
from meerkat_mob.store.file import look, wal
from meerkat_mob.store.file.lease import OsLock
from meerkat_mob.store.file.reader import open_copy_or_realm
from meerkat_mob.store.file.rows import Row, head_of, record_of, shown
from meerkat_mob.store.file.schema import ends_in_a_page
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
        look_at = _Look(db, folds or {}, progress or _untold)
        if not wal.scan(folder).frames and ends_in_a_page(folder):
            look_at.find("file_damaged", message="the file ends in the midst of a page")
        return look_at.report(damage)
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
        self._records = self._missed = 0

    def report(self, damage: str) -> Report:
        if damage:
            self.find("log_damaged", message=damage)
        self._db.execute("BEGIN")
        self._pages()
        heads = {head.stream: head for head in map(head_of, self._rows(look.ALL_HEADS))}
        names = sorted(heads.keys() | set(self._names()))
        for number, name in enumerate(names, 1):
            self._stream(name, heads.get(name))
            self._progress(number, len(names))
        self._gone()
        keys, blobs = self._keys(), self._blobs()
        return Report(
            streams=len(names),
            records=self._records,
            keys=keys,
            blobs=blobs,
            findings=tuple(self._found),
        )

    def find(self, code: str, stream: str = "", seq: int = 0, *, message: str) -> None:
        self._found.append(Finding(code=code, stream=stream, seq=seq, message=message))

    def _rows(self, sql: str) -> Iterator[Row]:
        """What can be had of some rows; that there was more is a finding."""
        try:
            yield from self._db.execute(sql)
        except sqlite3.Error as error:
            self.find("file_damaged", message=str(error))

    def _pages(self) -> None:
        for (told,) in self._rows("PRAGMA integrity_check(20)"):
            if shown(told) != "ok":
                self.find("file_damaged", message=shown(told))

    def _names(self) -> Iterator[str]:
        for (name,) in self._rows("SELECT DISTINCT stream FROM records"):
            yield shown(name)

    def _stream(self, stream: str, head: Head | None) -> None:
        folds = [fold for start, fold in self._folds.items() if stream.startswith(start)]
        kept: list[Record] = []  # all of them only where a fold needs them: a stream can be long
        last: Record | None = None
        chain: bytes | None = GENESIS
        seq = 0
        for row in self._rows_of(stream, 0 if head is None or head.damaged else head.revision):
            seq += 1
            self._records += 1
            try:
                record = record_of(stream, row, seq=seq)
            except StoreCorrupt as error:
                self.find("record_unreadable", stream, seq, message=error.why)
                chain = last = None
                continue
            if record.seq < seq:
                self.find("record_unknown", stream, record.seq, message="no record has its number")
                seq -= 1
                continue
            if record.seq > seq:
                self._missing(stream, seq, record.seq - 1)
                seq, chain = record.seq, None
            if chain is not None and not follows(chain, record):
                self.find("record_changed", stream, seq, message="its chain does not hold")
            chain, last = record.chain, record
            self._taken |= dict.fromkeys(record.keys, (stream, seq))
            if folds:
                kept.append(record)
        self._head(stream, head, seq, last)
        if head is not None and not head.damaged:
            for fold in folds:
                if fold(tuple(kept)) != head.summary:
                    self.find("summary_differs", stream, message="its records say something else")

    def _rows_of(self, stream: str, revision: int) -> Iterator[Row]:
        """All that can be had of a stream: page by page damage is stepped over."""
        seq = 0
        with suppress(sqlite3.Error):
            for row in self._db.execute(look.NUMBERED, (stream, *_ALL)):
                yield row
                seq = row[0]
            return
        while True:
            try:
                row = self._db.execute(look.NUMBERED, (stream, seq, 1)).fetchone()
            except sqlite3.Error as error:
                seq += 1
                self.find("file_damaged", stream, seq, message=str(error))
                if seq >= revision:
                    return
                continue
            if row is None:
                return
            yield row
            seq = row[0]

    def _missing(self, stream: str, first: int, last: int) -> None:
        numbers = f"records {first} to {last}" if last > first else f"record {first}"
        self.find("record_missing", stream, first, message=f"{numbers} of it cannot be found")
        self._missed += last - first + 1

    def _head(self, stream: str, head: Head | None, seq: int, last: Record | None) -> None:
        if head is None:
            self.find("head_missing", stream, message="it has records and no head")
        elif head.damaged:
            self.find("head_changed", stream, message="its head is not what was committed")
        elif head.revision > seq:
            self._missing(stream, seq + 1, head.revision)
        elif head.revision < seq:
            self.find("record_unknown", stream, head.revision + 1, message="its head ends before")
        elif last is not None and (head.chain, head.at) != (last.chain, last.at):
            self.find("head_changed", stream, message="its head is that of another record")

    def _gone(self) -> None:
        """A stream that was removed with its head leaves a gap: rows have numbers of their own."""
        for count, most in self._rows("SELECT count(*), coalesce(max(id), 0) FROM records"):
            if isinstance(count, int) and isinstance(most, int) and most - count > self._missed:
                told = f"{most - count} records of the realm cannot be found"
                self.find("records_gone", message=told)

    def _keys(self) -> int:
        found: dict[str, tuple[str, object]] = {}
        for key, stream, seq in self._rows("SELECT key, stream, seq FROM keys"):
            found[shown(key)] = (shown(stream), seq)
        for key in sorted(found.keys() | self._taken.keys()):
            taken = self._taken.get(key)
            if found.get(key) != taken:
                stream, seq = taken or ("", 0)
                self.find("key_differs", stream, seq, message=f"key {key!r} is not as it was taken")
        return len(found)

    def _blobs(self) -> int:
        count = 0
        for (name,) in self._rows("SELECT id FROM blobs"):
            count += 1
            try:
                look.blob(self._db, shown(name))
            except (StoreCorrupt, sqlite3.Error) as error:
                self.find("blob_changed", shown(name), message=str(error))
        return count
