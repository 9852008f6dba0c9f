"""Cells that stand below each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from rich.cells import cell_len

GAP: Final = "  "


def in_columns(table: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """A line for each row; the columns ``right`` are numbers, and end below each other."""
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (
            " " * (width - cell_len(cell)) + cell
            if place in right
            else cell + " " * (width - cell_len(cell))
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        yield GAP.join(padded)
