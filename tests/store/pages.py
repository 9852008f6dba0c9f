"""Where things lie in the bytes of SQLite's file, as its format says."""

from collections.abc import Iterator
from typing import NamedTuple

PAGE = 8192
TABLE_LEAF = 13


class Cell(NamedTuple):
    """A row of a table: its number, and where its bytes begin and end."""

    number: int
    begin: int
    end: int


def cells(data: bytes, page: int) -> Iterator[Cell]:
    """The rows on a page that is a leaf of a table, none of them longer than the page."""
    base = page * PAGE
    assert data[base] == TABLE_LEAF
    for at in range(base + 8, base + 8 + 2 * _word(data, base + 3), 2):
        begin = base + _word(data, at)
        length, behind = _varint(data, begin)
        number, content = _varint(data, behind)
        yield Cell(number, begin, content + length)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to eight bytes, and where the next one begins."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    raise AssertionError("no number of this file is that long")
