"""How much a model can look at, as far as its name tells.

Sizes are those that the providers' own pages named in November 2026, in tokens, request and answer
together. A name that is not here may be a model of anybody's, so nothing is known of it.
"""

from __future__ import annotations

from typing import Final

_SIZES: Final[tuple[tuple[str, int], ...]] = (
    ("gpt-5", 400_000),
    ("gpt-4.1", 1_047_576),
    ("gpt-4o", 128_000),
    ("chatgpt-4o", 128_000),
    ("o3", 200_000),
    ("o4-mini", 200_000),
    ("claude-3", 200_000),
    ("claude-haiku-4", 200_000),
    ("claude-opus-4", 200_000),
    ("claude-sonnet-4", 200_000),
    ("claude-opus-5", 1_000_000),
    ("claude-sonnet-5", 1_000_000),
    ("claude-fable-5", 1_000_000),
    ("gemini-2", 1_048_576),
    ("gemini-3", 1_048_576),
)


def window_of(model: str) -> int | None:
    """The tokens of a model's window; None when its name is not known."""
    name = model.lower()
    return next((size for prefix, size in _SIZES if name.startswith(prefix)), None)
