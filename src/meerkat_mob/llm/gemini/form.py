"""What of a JSON Schema Gemini holds its models to. No I/O in here.

It takes any schema and passes over what it does not know, so nothing is taken out: the answer is
held to the whole schema here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meerkat_mob.core.jsonvalue import Json

UNSAID: Final = frozenset(
    {
        "const",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "definitions",
        "allOf",
        "not",
        "if",
        "then",
        "else",
    }
)
"""Words that are passed over."""
_MAPS: Final = frozenset({"properties", "$defs"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "prefixItems"})
_ONES: Final = frozenset({"items", "additionalProperties"})


def unsupported(schema: Mapping[str, Json], place: str = "#") -> Iterator[str]:
    """What of a schema is passed over, each as the word and its place."""
    for word, value in schema.items():
        if word in UNSAID or (word == "enum" and _has_other_values(value)):
            yield f"{word} at {place}"
            continue
        for step, inner in _inner(word, value):
            yield from unsupported(inner, f"{place}/{step}")


def _has_other_values(enum: Json) -> bool:
    """It knows texts and numbers in a list of what may be said."""
    values = enum if isinstance(enum, list | tuple) else ()
    return any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values)


def _inner(word: str, value: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """The schemas inside, with the way to them."""
    found: list[tuple[str, Json]] = []
    if word in _MAPS and isinstance(value, Mapping):
        found = [(f"{word}/{name}", one) for name, one in value.items()]
    elif word in _LISTS and isinstance(value, list | tuple):
        found = [(f"{word}/{n}", one) for n, one in enumerate(value)]
    elif word in _ONES:
        found = [(word, value)]
    yield from ((step, one) for step, one in found if isinstance(one, Mapping))
