"""Looks at SQLite's write-ahead log before SQLite does.

SQLite takes the first damaged frame of its log for the end of it, and drops what lies behind
without a word. Behind the true end nothing valid can follow; so valid frames after a bad one mean
damage. The rule: what may be a fact is never written to.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import msgspec

from meerkat_mob.store.file.schema import DATABASE, PAGE_SIZE, PATIENCE_MS

LOG: Final = f"{DATABASE}-wal"
LITTLE, BIG = 0x377F0682, 0x377F0683
HEADER, FRAME = 32, 24
Sums: TypeAlias = tuple[int, int]


class Log(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is in a log: its whole frames, and those that are bad although valid ones follow.

    A bad frame 0 is the log's own header.
    """

    frames: int
    last: int = 0
    """The last valid one."""
    bad: tuple[int, ...] = ()

    @property
    def damaged(self) -> bool:
        """Whether SQLite would drop something that was written whole."""
        return bool(self.bad)

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.bad[:5])) + (" and more" if len(self.bad) > 5 else "")
        return f"frame {numbers} of {self.frames} in {LOG} is damaged, and valid ones follow"


def scan(folder: Path) -> Log:
    """The log of a realm that nobody has open. Without a log there is nothing in it."""
    try:
        with (folder / LOG).open("rb") as file:
            return scan_file(file)
    except FileNotFoundError:
        return Log(frames=0)


def scan_file(file: BinaryIO) -> Log:
    """See ``scan``.

    Behind a bad frame, or a bad header, either the sums it stores or those it ought to have may be
    the right ones: what is damaged in it can be its content or its sums.
    """
    header = file.read(HEADER)
    if len(header) < HEADER:
        return Log(frames=0)
    magic, _, page, *_ = struct.unpack(">8I", header)
    order = ">" if magic == BIG else "<"
    stored, counted = struct.unpack(">2I", header[24:]), sums(order, header[:24], (0, 0))
    whole = magic in (LITTLE, BIG) and stored == counted
    seeds: tuple[Sums, ...] = (counted,) if whole else (stored, counted)
    size = FRAME + (page if whole else PAGE_SIZE)
    salts = header[16:24] if whole else None
    frames = last = 0
    bad: list[int] = []
    doubtful = [] if whole else [0]
    while len(frame := file.read(size)) == size:
        frames += 1
        salts = frame[8:16] if salts is None else salts
        stored = struct.unpack(">2I", frame[16:24])
        # A frame with other salts is of an earlier log, or damaged just there.
        right = _sums_of(order, frame, seeds) if frame[8:16] == salts else []
        if stored in right:
            last, bad, doubtful, seeds = frames, bad + doubtful, [], (stored,)
        else:
            doubtful.append(frames)
            seeds = (stored, *right[:1])
    return Log(frames=frames, last=last, bad=tuple(bad))


def _sums_of(order: str, frame: bytes, seeds: tuple[Sums, ...]) -> list[Sums]:
    return [sums(order, frame[:8] + frame[FRAME:], seed) for seed in seeds]


def sums(order: str, data: bytes, seed: Sums) -> Sums:
    """SQLite's checksum of a log, over words of 32 bits in pairs."""
    one, two = seed
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def drop_unfinished(db: sqlite3.Connection, folder: Path) -> bool:
    """Cuts off what lies in the log behind its last commit; says whether that is certain.

    A transaction that a kill or a failing disk cut short leaves frames there. SQLite writes over
    them one by one, and those that were left would look like damage. Waits for no reader.
    """
    version = db.execute("PRAGMA data_version").fetchone()
    db.execute("PRAGMA busy_timeout = 0")
    try:
        busy, frames, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    if frames <= 0:  # as a rule: nobody reads now, and the log is empty
        return not busy
    (page,) = db.execute("PRAGMA page_size").fetchone()
    end, log = HEADER + frames * (FRAME + page), folder / LOG
    db.execute("BEGIN IMMEDIATE")  # from now on nobody writes to the log
    try:
        if db.execute("PRAGMA data_version").fetchone() != version:
            return False
        if log.stat().st_size > end:
            os.truncate(log, end)
        return True
    finally:
        db.execute("ROLLBACK")


def resealed(data: bytes) -> bytes:
    """A damaged log with sums that hold, up to its last valid frame.

    SQLite then shows all of it, and what is wrong in it is found by the chains of the records. A
    frame that says the wrong place is left out: it would hide a page, or end the log.
    """
    found = scan_file(BytesIO(data))
    size = FRAME + PAGE_SIZE
    frames = [data[at : at + size] for at in range(HEADER, len(data) - size + 1, size)]
    salts = frames[found.last - 1][8:16] if 0 in found.bad else data[16:24]
    start = struct.pack(">4I", LITTLE, 3_007_000, PAGE_SIZE, 0) + salts
    seed = sums("<", start, (0, 0))
    parts = [start, struct.pack(">2I", *seed)]
    for number, frame in enumerate(frames[: found.last], start=1):
        if number in found.bad and not _has_its_place(frame):
            continue
        seed = sums("<", frame[:8] + frame[FRAME:], seed)
        parts += (frame[:8], salts, struct.pack(">2I", *seed), frame[FRAME:])
    return b"".join(parts)


def _has_its_place(frame: bytes) -> bool:
    """Whether a damaged frame can be of the page whose number it bears, and is worth to be shown.

    SQLite ends a log at a frame of page 0. Of the first page an older state does as well: it holds
    no facts, and without it nothing can be read.
    """
    return int.from_bytes(frame[:4], "big") > 1 and not frame[FRAME:].startswith(b"SQLite format 3")
