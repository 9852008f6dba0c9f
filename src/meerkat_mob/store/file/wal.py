"""Looks at SQLite's write-ahead log before SQLite does.

SQLite takes the first damaged frame of its log for the end of it, and drops what lies behind
without a word. Behind the true end nothing valid can follow; so valid frames after a bad one mean
damage. The rule: nothing here writes to the log that it looks at.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.store.file.schema import DATABASE, PAGE_SIZE

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
        data = (folder / LOG).read_bytes()
    except FileNotFoundError:
        return Log(frames=0)
    return scan_bytes(data)


def scan_bytes(data: bytes) -> Log:
    """See ``scan``."""
    if len(data) < HEADER:
        return Log(frames=0)
    magic, _, page, _, salt1, salt2, *_ = struct.unpack(">8I", data[:HEADER])
    order = ">" if magic == BIG else "<"
    seed = sums(order, data[:24], (0, 0))
    whole = magic in (LITTLE, BIG) and seed == struct.unpack(">2I", data[24:HEADER])
    size = FRAME + (page if whole else PAGE_SIZE)
    frames = [data[at : at + size] for at in range(HEADER, len(data) - size + 1, size)]
    if not whole:
        salts = None if not frames else struct.unpack(">2I", frames[0][8:16])
        good = _valid(order, frames, salts, None)
    else:
        good = _valid(order, frames, (salt1, salt2), seed)
    last = max((n for n, valid in enumerate(good, start=1) if valid), default=0)
    bad = [n for n, valid in enumerate(good[:last], start=1) if not valid]
    if not whole and last:
        bad.insert(0, 0)
    return Log(frames=len(frames), last=last, bad=tuple(bad))


def _valid(
    order: str, frames: Sequence[bytes], salts: tuple[int, ...] | None, seed: Sums | None
) -> list[bool]:
    """For each frame whether it belongs to this log and follows the frame before.

    Behind a bad frame either the sums it stores or those it ought to have may be the right ones:
    what is damaged in it can be its content or its sums.
    """
    found: list[bool] = []
    seeds: tuple[Sums, ...] = () if seed is None else (seed,)
    for frame in frames:
        own = struct.unpack(">2I", frame[8:16]) == salts
        stored: Sums = struct.unpack(">2I", frame[16:24])
        counted = [sums(order, frame[:8] + frame[FRAME:], one) for one in seeds]
        found.append(own and stored in counted)
        seeds = (stored,) if found[-1] else (stored, *counted[:1])
    return found


def sums(order: str, data: bytes, seed: Sums) -> Sums:
    """SQLite's checksum of a log, over words of 32 bits in pairs."""
    one, two = seed
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def resealed(data: bytes) -> bytes:
    """A damaged log with sums that hold, up to its last valid frame.

    SQLite then shows all of it, and what is wrong in it is found by the chains of the records.
    """
    found = scan_bytes(data)
    size = FRAME + PAGE_SIZE
    frames = [data[at : at + size] for at in range(HEADER, len(data) - size + 1, size)]
    salts = frames[found.last - 1][8:16] if 0 in found.bad else data[16:24]
    start = struct.pack(">4I", LITTLE, 3_007_000, PAGE_SIZE, 0) + salts
    seed = sums("<", start, (0, 0))
    parts = [start, struct.pack(">2I", *seed)]
    for frame in frames[: found.last]:
        seed = sums("<", frame[:8] + frame[FRAME:], seed)
        parts += (frame[:8], salts, struct.pack(">2I", *seed), frame[FRAME:])
    return b"".join(parts)
