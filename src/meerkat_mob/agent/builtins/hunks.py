"""A text with the hunks of a patch in it. Pure.

The rule: a hunk goes where its lines are, letter by letter, and there must be no doubt about
where that is. Hunks go from top to bottom. Every line keeps its ending; a new one gets that of
the line above it. A text that had no newline at its end has none afterwards.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Final

import msgspec

from meerkat_mob.agent.builtins.patch import Hunk

_BOM: Final = "\ufeff"
_COMMON: Final = 100
"""A line that stands there more often tells nothing about a place."""
_LINES_COMPARED: Final = 300
_LETTERS_COMPARED: Final = 60
"""How much is compared letter by letter for the nearest place: that is slow."""


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A hunk that has no place: its number from 1, and why not."""

    hunk: int
    message: str


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> str | Mismatch:
    """The text with all of them, or the first that has no place."""
    lines = _Lines(text)
    done: list[tuple[str, str]] = []
    cursor = 0
    for number, hunk in enumerate(hunks, 1):
        place = _place_of(hunk, lines, cursor)
        if isinstance(place, str):
            return Mismatch(hunk=number, message=place)
        done += lines.pairs[cursor:place]
        cursor = place
        for sign, line in hunk.changes:
            if sign == "+":
                done.append((line, lines.ending_above(cursor)))
                continue
            if sign == " ":
                done.append(lines.pairs[cursor])
            cursor += 1
    return lines.joined([*done, *lines.pairs[cursor:]])


class _Lines:
    """The lines of a text, each with its ending."""

    def __init__(self, text: str) -> None:
        self._bom = _BOM if text.startswith(_BOM) else ""
        parts = text.removeprefix(_BOM).split("\n")
        last = parts.pop()
        self.pairs = [(p[:-1], "\r\n") if p.endswith("\r") else (p, "\n") for p in parts]
        self._open_end = bool(last)
        if last:
            self.pairs.append((last, ""))
        self.texts = [line for line, _ in self.pairs]
        self._body = "\n".join(("", *self.texts, ""))
        self._starts = list(accumulate((len(t) + 1 for t in self.texts), initial=0))
        self.by_text: dict[str, list[int]] = {}
        for number, line in enumerate(self.texts):
            self.by_text.setdefault(line.strip(), []).append(number)

    def find(self, wanted: Sequence[str], begin: int) -> int | None:
        """The first place at or below ``begin`` where these lines are."""
        if begin + len(wanted) > len(self.texts):
            return None
        found = self._body.find("\n".join(("", *wanted, "")), self._starts[begin])
        return None if found < 0 else bisect_left(self._starts, found)

    def find_stripped(self, line: str, begin: int) -> list[int]:
        """Where a line reads so, white space around it aside."""
        numbers = self.by_text.get(line, [])
        return numbers[bisect_left(numbers, begin) :]

    def ending_above(self, number: int) -> str:
        """The ending for a line that comes in before line ``number``."""
        if not self.pairs:
            return "\n"
        return self.pairs[max(number - 1, 0)][1] or self.pairs[0][1] or "\n"

    def joined(self, pairs: Sequence[tuple[str, str]]) -> str:
        """The text of these lines."""
        usual = self.ending_above(0)
        whole = [f"{line}{ending or usual}" for line, ending in pairs]
        if whole and self._open_end:
            whole[-1] = pairs[-1][0]
        return self._bom + "".join(whole)


def _place_of(hunk: Hunk, lines: _Lines, cursor: int) -> int | str:
    """The number of the line that the hunk begins with, from 0; or why there is none."""
    begin = cursor
    for nth, heading in enumerate(hunk.after):
        found = lines.find_stripped(heading, begin)
        if not found:
            return (
                f"no line below line {begin} reads {_quoted(heading)}{_near_line(heading, lines)}"
            )
        if nth == 0 and len(found) > 1:
            return (
                f"{_quoted(heading)} stands in {_listed(found)}: take an '@@' line that is unique"
            )
        begin = found[0] + (not hunk.wanted or nth + 1 < len(hunk.after))
    if hunk.at_end:
        begin = max(begin, len(lines.texts) - len(hunk.wanted))
    if not hunk.wanted:
        return begin
    place = lines.find(hunk.wanted, begin)
    if place is None:
        return _no_place(hunk.wanted, lines, begin)
    if not hunk.after and (other := lines.find(hunk.wanted, place + 1)) is not None:
        return f"it matches in {_listed([place, other])}: add context, or an '@@' line above it"
    return place


# -- what to say -------------------------------------------------------------------------------


def _no_place(wanted: Sequence[str], lines: _Lines, begin: int) -> str:
    above = lines.find(wanted, 0)
    if above is not None:
        return (
            f"it matches in line {above + 1}, but it belongs below line {begin}: "
            "hunks go from top to bottom, do not overlap, and are below their '@@' lines"
        )
    near = _nearest(wanted, lines)
    if near is None:
        return "it does not match, and nothing in the file is like it"
    told = f"it does not match; the nearest place is line {near + 1}"
    for number, line in enumerate(wanted, near):
        if number >= len(lines.texts):
            return f"{told}, and the file ends after line {number}"
        if lines.texts[number] != line:
            has = _quoted(lines.texts[number])
            return f"{told}: line {number + 1} is {has}, and the patch has {_quoted(line)}"
    return told


def _nearest(wanted: Sequence[str], lines: _Lines) -> int | None:
    """Where most of these lines are; else where a line is like the first of them."""
    votes: Counter[int] = Counter()
    for offset, line in enumerate(wanted):
        numbers = lines.by_text.get(line.strip(), ())
        if line.strip() and len(numbers) <= _COMMON:
            votes.update(number - offset for number in numbers if number >= offset)
    if votes:
        return min(votes, key=lambda place: (-votes[place], place))
    for offset, line in enumerate(wanted):
        if line.strip():
            number = _like(line, lines)
            return None if number is None else max(number - offset, 0)
    return None


def _like(line: str, lines: _Lines) -> int | None:
    first = islice(lines.by_text.items(), _LINES_COMPARED)
    known = {text[:_LETTERS_COMPARED]: numbers[0] for text, numbers in first}
    close = difflib.get_close_matches(line.strip()[:_LETTERS_COMPARED], known, n=1)
    return known[close[0]] if close else None


def _near_line(heading: str, lines: _Lines) -> str:
    number = _like(heading, lines)
    return "" if number is None else f"; line {number + 1} is {_quoted(lines.texts[number])}"


def _listed(places: Sequence[int]) -> str:
    shown = ", ".join(str(place + 1) for place in places[:3])
    return f"lines {shown}" + (" and more" if len(places) > 3 else "")


def _quoted(line: str) -> str:
    return repr(line if len(line) <= 120 else f"{line[:120]}…")
