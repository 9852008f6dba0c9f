"""What a benchmark says: figures with their floors and aims, and how they are taken.

The rule: a figure is a ratio to a floor of the same run, and the two take turns, so that a busy
moment of the machine hits both. Nothing here is ever asserted.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from statistics import median
from typing import Final, TypeAlias

import msgspec

FOR_THE_TABLE: Final = "MEERKAT_FIGURES"
"""Set by whoever collects the figures of several benchmarks: they come as JSON then."""
Work: TypeAlias = Callable[[], Awaitable[object]]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. ``ours`` and ``floor`` are told with their units."""

    what: str
    ratio: float
    aim: float
    ours: str
    floor: str

    @property
    def is_met(self) -> bool:
        """Whether the aim is reached, as far as two digits tell."""
        return round(self.ratio, 2) <= self.aim


async def take_turns(rounds: int, *works: Work) -> list[float]:
    """The median seconds of each work, done once in each of the rounds."""
    spent: list[list[float]] = [[] for _ in works]
    for work in works:
        await work()  # the first time is not like the others
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for work, times in zip(works, spent, strict=True):
            began = time.perf_counter()
            await work()
            times.append(time.perf_counter() - began)
    gc.unfreeze()
    return [median(times) for times in spent]


def compared(what: str, ours: float, floor: float, *, aim: float) -> Figure:
    """A figure of two times in seconds."""
    return Figure(what=what, ratio=ours / floor, aim=aim, ours=told(ours), floor=told(floor))


def told(seconds: float) -> str:
    """A time in the unit in which it is read best."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.1f} us"


def tell(figures: Iterable[Figure]) -> None:
    """Says what was measured, as it comes."""
    if FOR_THE_TABLE in os.environ:
        for figure in figures:
            print(msgspec.json.encode(figure).decode(), flush=True)
        return
    print(HEADING)
    for figure in figures:
        print(line_of(figure), flush=True)


HEADING: Final = f"{'what':<64} {'ours':>10} {'floor':>10} {'ratio':>6} {'aim':>6}"


def line_of(figure: Figure) -> str:
    """The same as a line."""
    mark = "" if figure.is_met else " missed"
    return (
        f"{figure.what:<64} {figure.ours:>10} {figure.floor:>10} "
        f"{figure.ratio:>6.2f} {figure.aim:>6.2f}{mark}"
    )
