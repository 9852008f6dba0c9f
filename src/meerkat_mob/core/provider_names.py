"""Which provider a model belongs to, told from its name alone (spec sessions 1.3).

Aliases of self-hosted models are not names: they come from the model catalogue, which is asked
first.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Provider: TypeAlias = Literal["anthropic", "openai", "gemini", "self_hosted", "other"]

BUILT_IN: Final = "built-in"
"""The model that the browser has itself; no provider has one of that name."""

_PREFIXES: Final[tuple[tuple[str, Provider], ...]] = (
    ("claude-", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("codex-", "openai"),
    ("gemini-", "gemini"),
)


_REASONERS: Final = re.compile(r"o[1-9](-|$)")
"""``o3``, ``o4-mini`` and the like are OpenAI's."""


def infer_provider(model: str) -> Provider:
    """The provider whose prefix the name has, in any case; ``other`` when it is unknown."""
    name = model.lower()
    for prefix, provider in _PREFIXES:
        if name.startswith(prefix):
            return provider
    return "openai" if _REASONERS.match(name) else "other"
