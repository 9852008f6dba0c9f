"""The defaults file of a pack: accepted, and honest about having no effect.

Keys that 0.8 knows are ``unsupported_field``, all others ``unknown_default``; both are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meerkat_mob.core.strict import is_table, join
from meerkat_mob.mob.definition.diagnostics import Diagnostic, warning

DEFAULTS: Final = "config/defaults.toml"

_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"max_tokens", "models", "budget", "compaction"}),
    "models": frozenset({"anthropic", "openai", "gemini"}),
    "budget": frozenset({"max_tokens", "max_duration_secs", "max_tool_calls"}),
    "compaction": frozenset(
        {
            "auto_compact_threshold",
            "recent_turn_budget",
            "max_summary_tokens",
            "min_turns_between_compactions",
        }
    ),
}


def check_defaults(document: object) -> Iterator[Diagnostic]:
    """A warning for every key, in the author's order; an unknown table is one key."""
    yield from _check_table(document, "")


def _check_table(table: object, section: str) -> Iterator[Diagnostic]:
    for key, item in table.items() if is_table(table) else ():
        place = join(section, str(key))
        if key not in _KNOWN[section]:
            yield warning("unknown_default", place, f"unknown key {key!r}: it is ignored")
        elif not section and key in _KNOWN and is_table(item):
            yield from _check_table(item, str(key))
        else:
            message = f"{place!r} has no effect: defaults of a pack are not applied"
            yield warning("unsupported_field", place, message)
