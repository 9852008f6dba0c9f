"""Words and numbers for people, and texts made safe for a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NOW_S: Final = 2
_MONTH_S: Final = 30 * 86_400
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def clean(text: str) -> str:
    """The text without what a terminal would obey instead of show.

    What a model wrote must not be able to move the cursor or to colour what is not its own.
    """
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    "))


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 error``, ``1,200 turns``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def flat(text: str) -> str:
    """The text in one line, safe for a terminal."""
    return " ".join(clean(text).split())


def shortened(text: str, more: str, *, most: int) -> str:
    """The beginning of a text in one line; ``more`` says that there is more."""
    line = flat(text)
    return line if len(line) <= most else line[:most].rstrip() + more


def moment(at: int) -> str:
    """A time in ms as a clock on the wall shows it."""
    return f"{datetime.fromtimestamp(at / 1000, tz=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def ago(at: int, now: int) -> str:
    """How long ago a time was, both in ms; a date when it is a month, or lies ahead."""
    seconds = (now - at) // 1000
    if not 0 <= seconds < _MONTH_S:
        return moment(at)[:10]
    if seconds < _NOW_S:
        return "just now"
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= size)
    return f"{seconds // size} {unit} ago"
