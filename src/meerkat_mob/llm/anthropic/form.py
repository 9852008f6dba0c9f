"""JSON Schemas as Anthropic's structured outputs take them. No I/O in here.

Objects are closed. What cannot be said is left out: the answer is held to the whole schema here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.schema_limits import RARELY_SAID, inner_schemas, lost_words

UNSAID: Final = RARELY_SAID | {
    "minimum",
    "maximum",
    "maxItems",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
}
"""Words that are refused."""
FORMATS: Final = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
"""Formats of a text that can be said."""
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})
_LISTS: Final = frozenset({"anyOf", "allOf", "oneOf"})


def is_sayable(schema: Mapping[str, Json]) -> bool:
    """Whether a form is of use without what cannot be said.

    It is not when an object takes any keys, for closed it would take none; and a schema that is
    within itself is refused.
    """
    return not any(map(_takes_any_keys, _schemas(schema))) and not _is_within_itself(schema)


def unsupported(schema: Mapping[str, Json]) -> Iterator[str]:
    """What of a schema cannot be said, each as the word and its place."""
    return lost_words(schema, _is_unsaid)


def lowered(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema without that, and with its objects closed; ``oneOf`` becomes ``anyOf``."""
    told: dict[str, Json] = {}
    for word, value in schema.items():
        if _is_unsaid(word, value):
            continue
        if word in _MAPS and isinstance(value, Mapping):
            told[word] = {name: _lowered(one) for name, one in value.items()}
        elif word in _LISTS and isinstance(value, list | tuple):
            told["anyOf" if word == "oneOf" else word] = [_lowered(one) for one in value]
        else:
            told[word] = _lowered(value) if word == "items" else value
    kind = told.get("type")
    if kind == "object" or "properties" in told or (isinstance(kind, list) and "object" in kind):
        told["additionalProperties"] = False
    return told


def _lowered(value: Json) -> Json:
    return lowered(value) if isinstance(value, Mapping) else value


def _is_unsaid(word: str, value: Json) -> bool:
    match word:
        case "minItems":
            return value not in {0, 1}
        case "format":
            return value not in FORMATS
        case "additionalProperties":
            return value is not False
        case _:
            return word in UNSAID


def _schemas(schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """The schema and all inside it that can be said."""
    yield schema
    for word, value in schema.items():
        if not _is_unsaid(word, value):
            for _, inner in inner_schemas(word, value):
                yield from _schemas(inner)


def _takes_any_keys(schema: Mapping[str, Json]) -> bool:
    kind = schema.get("type")
    is_object = kind == "object" or (isinstance(kind, list | tuple) and "object" in kind)
    closed = schema.get("additionalProperties", True) is False
    return is_object and not schema.get("properties") and not closed


def _is_within_itself(schema: Mapping[str, Json]) -> bool:
    named = {
        f"#/{word}/{name}": one
        for word in ("$defs", "definitions")
        for name, one in _table(schema.get(word)).items()
        if isinstance(one, Mapping)
    }
    leads_to = {name: {*_refs(one)} for name, one in named.items()}
    leads_to["#"] = {
        ref
        for word, one in schema.items()
        if word not in _MAPS - {"properties"}
        for ref in _refs({word: one})
    }
    return any(_reaches(leads_to, name, name, set()) for name in leads_to)


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _refs(schema: Mapping[str, Json]) -> Iterator[str]:
    found = (one.get("$ref") for one in _schemas(schema))
    yield from (ref for ref in found if isinstance(ref, str))


def _reaches(leads_to: Mapping[str, set[str]], here: str, wanted: str, seen: set[str]) -> bool:
    for ref in leads_to.get(here, ()):
        if ref == wanted:
            return True
        if ref not in seen:
            seen.add(ref)
            if _reaches(leads_to, ref, wanted, seen):
                return True
    return False
