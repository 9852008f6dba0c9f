"""What of a JSON Schema a provider cannot hold its model to: one walk for all who have limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from meerkat_mob.core.jsonvalue import Json

IsUnsaid: TypeAlias = Callable[[str, Json], bool]
"""Whether a word of a schema, with its value, is lost on a provider."""

RARELY_SAID: Final = frozenset(
    {
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
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
        "not",
        "if",
        "then",
        "else",
    }
)
"""Words that are lost on all of them."""
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})
_LISTS: Final = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_ONES: Final = frozenset({"items", "additionalProperties"})


def lost_words(schema: Mapping[str, Json], is_unsaid: IsUnsaid, place: str = "#") -> Iterator[str]:
    """What is lost, each as the word and its place; nothing below a lost word is looked at."""
    for word, value in schema.items():
        if is_unsaid(word, value):
            yield f"{word} at {place}"
        else:
            for step, inner in inner_schemas(word, value):
                yield from lost_words(inner, is_unsaid, f"{place}/{step}")


def inner_schemas(word: str, value: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """The schemas that a word holds, with the way to them."""
    found: list[tuple[str, Json]] = []
    if word in _MAPS and isinstance(value, Mapping):
        found = [(f"{word}/{name}", one) for name, one in value.items()]
    elif word in _LISTS and isinstance(value, list | tuple):
        found = [(f"{word}/{n}", one) for n, one in enumerate(value)]
    elif word in _ONES:
        found = [(word, value)]
    yield from ((step, one) for step, one in found if isinstance(one, Mapping))
