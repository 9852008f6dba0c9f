"""Words and numbers for people, and texts made safe for a terminal."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without what a terminal would obey instead of show.

    What a model wrote must not be able to move the cursor or to colour what is not its own.
    """
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    "))


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 error``, ``1,200 turns``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
