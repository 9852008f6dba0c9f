"""Which words a text has, and which entries are best for some of them.

Both indexes ask here, so what is found does not depend on where it is looked for. Scores are those
of SQLite's FTS5: its ``bm25()``, over all entries of an index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from heapq import nsmallest
from math import log
from typing import Final

LONGEST: Final = 64
"""Characters of a word that count; what is longer is hardly one."""
K1: Final = 1.2
B: Final = 0.75
LEAST: Final = 1e-6
"""The weight of a word that is in more than half of the entries."""

_IDEOGRAPH: Final = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD: Final = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+")


def words(text: str) -> list[str]:
    """The words of a text in order, without case and accents; each ideograph is one."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join([c for c in spread if not unicodedata.combining(c)])
    return [word[:LONGEST] for word in _WORD.findall(bare)]


def weight(entries: int, having: int) -> float:
    """What a word counts for that so many of the entries have."""
    told = log((entries - having + 0.5) / (having + 0.5))
    return told if told > 0 else LEAST


def part(times: int, length: int, average: float) -> float:
    """What it counts for to have a word so many times among ``length``."""
    return times * (K1 + 1) / (times + K1 * (1 - B + B * length / average))


def best(scored: Iterable[tuple[int, float]], limit: int) -> list[tuple[int, float]]:
    """Numbers with the highest scores; of equals the highest number."""
    return nsmallest(limit, scored, key=lambda one: (-round(one[1], 9), -one[0]))
