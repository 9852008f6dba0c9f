"""Names and minted ids.

Minted ids are UUIDv7 as text, so they sort by time. The clock and the entropy are arguments:
with fixed ones, two runs mint the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NewType, TypeAlias

SessionId = NewType("SessionId", str)
RunId = NewType("RunId", str)
InputId = NewType("InputId", str)
MobId = NewType("MobId", str)
MemberId = NewType("MemberId", str)
TaskId = NewType("TaskId", str)

Clock: TypeAlias = Callable[[], int]
"""Milliseconds since 1970, UTC."""

_TAIL: Final = (1 << 48) - 1
"""The last twelve digits of an id, all set."""


def uuid7_text(ms: int, rand: int) -> str:
    """RFC 9562 version 7 from a 48-bit millisecond count and 74 random bits."""
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (rand >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | rand & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Ids:
    """A source of UUIDv7 texts that strictly grow, also within one millisecond.

    Within a millisecond they differ in a counter at their end, so only that is written anew.
    """

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._clock, self._entropy = clock, entropy
        self._ms, self._rand = -1, 0
        self._head, self._tail = "", 0

    def __call__(self) -> str:
        """The next id; later than every one before it, even when the clock goes back."""
        ms = self._clock()
        if ms > self._ms:
            self._begin(ms, int.from_bytes(self._entropy(9), "big"))
        elif self._tail < _TAIL:
            self._tail += 1
        else:
            self._begin(self._ms, (self._rand | _TAIL) + 1)
        return f"{self._head}{self._tail:012x}"

    def _begin(self, ms: int, rand: int) -> None:
        self._ms, self._rand, self._tail = ms, rand, rand & _TAIL
        self._head = uuid7_text(ms, rand)[:-12]


def comms_name(mob: str, profile: str, member: str) -> str:
    """The public address of a member: ``mob/profile/member`` (spec mob 1.1)."""
    return f"{mob}/{profile}/{member}"
