"""Which JSON Schemas OpenAI can hold a model to word by word, and their form there.

The rule: what satisfies the strict form satisfies the schema, but for the keywords that
``unsupported`` names. Objects are closed and all their properties required, which only narrows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json, JsonObject

_KEPT: Final = frozenset(
    {
        *("type", "enum", "const", "title", "description", "pattern"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    }
)
_NOTES: Final = frozenset(
    {
        *("$schema", "$id", "$comment", "$anchor", "default", "examples", "deprecated"),
        *("readOnly", "writeOnly", "discriminator", "contentEncoding", "contentMediaType"),
    }
)
"""Keywords that forbid nothing. Strict mode refuses some of them, so they are left out."""
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)


class Unsupported(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A keyword that the strict form cannot say, and where it stands (a JSON pointer).

    ``vital`` means that nothing useful is left of its place without it, so that the schema has no
    strict form at all.
    """

    keyword: str
    place: str
    vital: bool = False

    def __str__(self) -> str:
        return f"{self.keyword} at #{self.place}"


def unsupported(schema: JsonObject) -> tuple[Unsupported, ...]:
    """What is lost when a model is held to ``schema``; empty when nothing is."""
    found: list[Unsupported] = []
    _root(schema, found)
    return tuple(found)


def strict_form(schema: JsonObject) -> JsonObject | None:
    """``schema`` as strict mode takes it, or None when it has no such form."""
    found: list[Unsupported] = []
    lowered = _root(schema, found)
    return None if any(one.vital for one in found) else lowered


def with_root(schema: JsonObject) -> JsonObject:
    """The schema with its own type at the top, where it only referred to a definition."""
    ref = schema.get("$ref")
    if not isinstance(ref, str):
        return schema
    target: Json = schema
    for step in ref.removeprefix("#/").split("/"):
        target = target.get(step) if isinstance(target, Mapping) else None
    if not isinstance(target, Mapping):
        return schema
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _root(schema: JsonObject, found: list[Unsupported]) -> JsonObject:
    lowered = _lowered(with_root(schema), "", found)
    if lowered.get("type") != "object":
        found.append(Unsupported(keyword="type", place="", vital=True))
    return lowered


def _lowered(schema: Json, place: str, found: list[Unsupported]) -> dict[str, Json]:
    if not isinstance(schema, Mapping):  # true and false: anything, or nothing
        found.append(Unsupported(keyword="type", place=place, vital=True))
        return {}
    ref = schema.get("$ref")
    if isinstance(ref, str):
        if not ref.startswith("#"):
            found.append(Unsupported(keyword="$ref", place=place, vital=True))
        return {"$ref": ref}
    kept: dict[str, Json] = {}
    for keyword, value in schema.items():
        _keyword(keyword, value, place, kept, found)
    _typed(kept)
    if "object" in _types(kept):
        _close(schema, kept, place, found)
    if "array" in _types(kept) and "items" not in kept:
        found.append(Unsupported(keyword="items", place=place, vital=True))
    if "type" not in kept and "anyOf" not in kept:
        found.append(Unsupported(keyword="type", place=place, vital=True))
    return kept


def _keyword(
    keyword: str, value: Json, place: str, kept: dict[str, Json], found: list[Unsupported]
) -> None:
    """Takes over one keyword of a schema, or says that it is lost."""
    below = f"{place}/{keyword}"
    match keyword, value:
        case (("properties" | "$defs" | "definitions"), Mapping()):
            kept[keyword] = {
                name: _lowered(item, f"{below}/{_escaped(name)}", found)
                for name, item in value.items()
            }
        case "items", _:
            kept[keyword] = _lowered(value, below, found)
        case (("anyOf" | "oneOf"), list() | tuple()):
            if keyword == "oneOf":  # one and no other: that much cannot be said
                found.append(Unsupported(keyword=keyword, place=place))
            kept["anyOf"] = [
                _lowered(item, f"{below}/{index}", found) for index, item in enumerate(value)
            ]
        case (("required" | "additionalProperties"), _):  # all of them, and none: see _close
            pass
        case "format", str() if value in _FORMATS:
            kept[keyword] = value
        case _ if keyword in _KEPT:
            kept[keyword] = value
        case _ if keyword not in _NOTES:
            found.append(Unsupported(keyword=keyword, place=place))
        case _:
            pass


def _close(schema: JsonObject, kept: dict[str, Json], place: str, found: list[Unsupported]) -> None:
    """An object of strict mode: no property but its own, and each of them there."""
    properties = kept.setdefault("properties", {})
    names = list(properties) if isinstance(properties, Mapping) else []
    if schema.get("additionalProperties", not names) is not False:
        lost = Unsupported(keyword="additionalProperties", place=place, vital=not names)
        found.append(lost)
    required = schema.get("required")
    if isinstance(required, list | tuple) and not set(required) <= set(names):
        found.append(Unsupported(keyword="required", place=place, vital=True))
    kept["required"], kept["additionalProperties"] = names, False


def _types(schema: JsonObject) -> Sequence[Json]:
    told = schema.get("type")
    return told if isinstance(told, list | tuple) else (told,)


def _typed(schema: dict[str, Json]) -> None:
    """Values without a type get theirs: strict mode asks for one beside ``enum`` and ``const``."""
    values = schema.get("enum", (schema["const"],) if "const" in schema else None)
    if "type" not in schema and isinstance(values, list | tuple):
        names = list(dict.fromkeys(_type_of(value) for value in values))
        schema["type"] = names[0] if len(names) == 1 else list[Json](names)


def _type_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
