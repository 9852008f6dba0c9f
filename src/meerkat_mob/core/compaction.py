"""When a history becomes shorter, and what that has taken out of it (spec sessions 3.5).

A session counts its boundaries over its whole life: its answers, those that were taken out too.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from meerkat_mob.core.messages import Message, UserMessage

SUMMARY: Final = "[Context compacted] What was said before, in short:\n\n"
"""How the message begins that stands for what was taken out."""
FULL: Final = 0.8
"""The part of a model's window at which a history is compacted."""
UNKNOWN: Final = 125_000
"""The window of a model of which nothing is known."""


class CompactionPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When the older part of a history gives way to a summary.

    It does at 80 % of ``window_tokens``, or of the model's own window, and not again for
    ``min_boundaries`` model calls. The last ``keep_turns`` messages of others stay, with all that
    followed them. The summary has at most ``summary_tokens``, and takes at most ``timeout_ms``.
    """

    enabled: bool = True
    window_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    keep_turns: Annotated[int, Meta(ge=0)] = 4
    min_boundaries: Annotated[int, Meta(ge=1)] = 3
    summary_tokens: Annotated[int, Meta(ge=1)] = 4096
    timeout_ms: Annotated[int, Meta(ge=1)] = 120_000

    def threshold(self, window: int | None) -> int:
        """Tokens of a request that is too large for a model with this window, if it is known."""
        known = UNKNOWN if window is None else window
        return round((known if self.window_tokens is UNSET else self.window_tokens) * FULL)


class Compacted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What compactions took out of a history so far, and at which boundary the last one was."""

    answers: int = 0
    tool_calls: int = 0
    at: int | UnsetType = UNSET


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """All that compactions took out of a history so far, in order, up to the boundary ``at``."""

    at: int
    messages: tuple[Message, ...]


def is_summary(message: Message) -> bool:
    """Whether a message stands for others."""
    content = message.content if isinstance(message, UserMessage) else None
    return isinstance(content, str) and content.startswith(SUMMARY)
