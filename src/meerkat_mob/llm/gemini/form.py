"""What of a JSON Schema Gemini holds its models to. No I/O in here.

It takes any schema and passes over what it does not know, so nothing is taken out: the answer is
held to the whole schema here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.schema_limits import RARELY_SAID, lost_words

UNSAID: Final = RARELY_SAID | {"const", "pattern", "definitions", "allOf"}
"""Words that are passed over."""


def unsupported(schema: Mapping[str, Json]) -> Iterator[str]:
    """What of a schema is passed over, each as the word and its place."""
    return lost_words(schema, _is_unsaid)


def _is_unsaid(word: str, value: Json) -> bool:
    return word in UNSAID or (word == "enum" and _has_other_values(value))


def _has_other_values(enum: Json) -> bool:
    """It knows texts and numbers in a list of what may be said."""
    values = enum if isinstance(enum, list | tuple) else ()
    return any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values)
