"""Token counts. An absent cache figure is unknown, and unknown is not zero."""

from __future__ import annotations

from typing import Final

import msgspec

_MOST: Final = 2**64 - 1
"""Where sums stop: what the field can hold wherever these documents are read."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a model call, or many, consumed. Both cache fields are always encoded."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int | None = None
    cache_read_tokens: int | None = None

    @property
    def total(self) -> int:
        """Input and output together."""
        return min(self.input_tokens + self.output_tokens, _MOST)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=min(self.input_tokens + other.input_tokens, _MOST),
            output_tokens=min(self.output_tokens + other.output_tokens, _MOST),
            cache_creation_tokens=_sum(self.cache_creation_tokens, other.cache_creation_tokens),
            cache_read_tokens=_sum(self.cache_read_tokens, other.cache_read_tokens),
        )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None and b is None else min((a or 0) + (b or 0), _MOST)
