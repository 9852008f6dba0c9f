"""Whether a value fits a schema that was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from meerkat_mob.core.json_schema.values import as_list, is_list, is_number, is_of, key_of, type_of
from meerkat_mob.core.jsonvalue import Json

DEEPEST: Final = 160
"""Schemas inside each other while one value is looked at; more is a schema without an end."""
MOST: Final = 100_000
"""Schemas that are tried on one value; alternatives that nest can ask for any number."""


class SchemaFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a value does not fit, as in ``$.items[2].price``, and why."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class Look:
    """One value, looked at."""

    def __init__(self, places: Mapping[str, Json]) -> None:
        self._places, self._left = places, MOST
        self.endless: SchemaFault | None = None
        """That the schema led nowhere: then nothing else counts, also not behind a ``not``."""

    def at(self, schema: Json, value: Json, path: str, depth: int) -> SchemaFault | None:
        """Why the value does not fit there."""
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            self.endless = _fault("$", "the schema does not come to an end on this value")
            return self.endless
        if schema is True or not isinstance(schema, Mapping):
            return None if schema is not False else _fault(path, "nothing may be here")
        if "$ref" in schema:
            fault = self.at(self._places[str(schema["$ref"])], value, path, depth + 1)
            if fault is not None:
                return fault
        fault = _typed(schema, value, path) or _told(schema, value, path)
        if fault is None and isinstance(value, str):
            fault = _text(schema, value, path)
        elif fault is None and is_number(value):
            fault = _number(schema, value, path)
        elif fault is None and isinstance(value, Mapping):
            fault = _object(schema, value, path) or self._members(schema, value, path, depth)
        elif fault is None and is_list(value):
            fault = _array(schema, value, path) or self._items(schema, value, path, depth)
        return fault or self._combined(schema, value, path, depth)

    def _members(
        self, schema: Mapping[str, Json], value: Mapping[str, Json], path: str, depth: int
    ) -> SchemaFault | None:
        named, patterns = _map(schema, "properties"), _map(schema, "patternProperties")
        rest, names = schema.get("additionalProperties", True), schema.get("propertyNames", True)
        for name, one in value.items():
            place = f"{path}.{name}"
            fitting = [named[name]] if name in named else []
            fitting += [then for pattern, then in patterns.items() if re.search(pattern, name)]
            if not fitting and rest is False:
                known = ", ".join(named) or "none"
                return _fault(place, f"no such field; there are: {known}")
            for then in fitting or [rest]:
                if fault := self.at(then, one, place, depth + 1):
                    return fault
            if names is not True and (fault := self.at(names, name, place, depth + 1)):
                return fault
        for name, then in _map(schema, "dependentSchemas").items():
            if name in value and (fault := self.at(then, value, path, depth + 1)):
                return fault
        return None

    def _items(
        self, schema: Mapping[str, Json], value: Sequence[Json], path: str, depth: int
    ) -> SchemaFault | None:
        first, rest = as_list(schema.get("prefixItems", [])), schema.get("items", True)
        for n, one in enumerate(value):
            then = first[n] if n < len(first) else rest
            if then is not True and (fault := self.at(then, one, f"{path}[{n}]", depth + 1)):
                return fault
        if "contains" not in schema:
            return None
        fits = sum(self.at(schema["contains"], one, path, depth + 1) is None for one in value)
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if is_number(least) and fits < least:
            return _fault(path, f"at least {least} items must fit what it must contain")
        if is_number(most) and fits > most:
            return _fault(path, f"at most {most} items may fit what it must contain")
        return None

    def _combined(
        self, schema: Mapping[str, Json], value: Json, path: str, depth: int
    ) -> SchemaFault | None:
        for then in as_list(schema.get("allOf", [])):
            if fault := self.at(then, value, path, depth + 1):
                return fault
        if "anyOf" in schema or "oneOf" in schema:
            for word in ("anyOf", "oneOf"):
                if word in schema and (fault := self._choice(schema, word, value, path, depth)):
                    return fault
        if "not" in schema and self.at(schema["not"], value, path, depth + 1) is None:
            return _fault(path, "it fits what it must not")
        if "if" in schema:
            holds = self.at(schema["if"], value, path, depth + 1) is None
            return self.at(schema.get("then" if holds else "else", True), value, path, depth + 1)
        return None

    def _choice(
        self, schema: Mapping[str, Json], word: str, value: Json, path: str, depth: int
    ) -> SchemaFault | None:
        """The fault that says most is that of the alternative which went deepest."""
        faults = [self.at(one, value, path, depth + 1) for one in as_list(schema[word])]
        fits = faults.count(None)
        if fits == 0:
            return max((f for f in faults if f is not None), key=lambda fault: len(fault.path))
        if word == "oneOf" and fits > 1:
            return _fault(path, f"it fits {fits} alternatives, and must fit exactly one")
        return None


def _typed(schema: Mapping[str, Json], value: Json, path: str) -> SchemaFault | None:
    wanted = schema.get("type")
    if wanted is None:
        return None
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in as_list(wanted)]
    if any(is_of(name, value) for name in names):
        return None
    return _fault(path, f"expected {' or '.join(names)}, and it is {type_of(value)}")


def _told(schema: Mapping[str, Json], value: Json, path: str) -> SchemaFault | None:
    if "const" in schema and key_of(value) != key_of(schema["const"]):
        return _fault(path, f"it must be {_shown(schema['const'])}")
    if "enum" in schema and key_of(value) not in [key_of(one) for one in as_list(schema["enum"])]:
        return _fault(path, f"it must be one of {_shown(schema['enum'])}")
    return None


def _text(schema: Mapping[str, Json], value: str, path: str) -> SchemaFault | None:
    if fault := _sized(schema, len(value), ("minLength", "maxLength"), "characters", path):
        return fault
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        return _fault(path, f"it does not match {pattern!r}")
    return None


def _number(schema: Mapping[str, Json], value: float, path: str) -> SchemaFault | None:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf")
    if is_number(least) and value < least:
        return _fault(path, f"it must be {least} or more")
    if is_number(most) and value > most:
        return _fault(path, f"it must be {most} or less")
    if is_number(above) and value <= above:
        return _fault(path, f"it must be more than {above}")
    if is_number(below) and value >= below:
        return _fault(path, f"it must be less than {below}")
    if is_number(step) and (Fraction(str(value)) / Fraction(str(step))).denominator != 1:
        return _fault(path, f"it must be a multiple of {step}")
    return None


def _object(schema: Mapping[str, Json], value: Mapping[str, Json], path: str) -> SchemaFault | None:
    needed = [str(name) for name in as_list(schema.get("required", []))]
    for name, more in _map(schema, "dependentRequired").items():
        needed += [str(one) for one in as_list(more)] if name in value else []
    for name in needed:
        if name not in value:
            return _fault(path, f"the field {name!r} is missing")
    return _sized(schema, len(value), ("minProperties", "maxProperties"), "fields", path)


def _array(schema: Mapping[str, Json], value: Sequence[Json], path: str) -> SchemaFault | None:
    if schema.get("uniqueItems") is True and len({key_of(one) for one in value}) < len(value):
        return _fault(path, "no item may be there twice")
    return _sized(schema, len(value), ("minItems", "maxItems"), "items", path)


def _sized(
    schema: Mapping[str, Json], size: int, words: tuple[str, str], what: str, path: str
) -> SchemaFault | None:
    least, most = schema.get(words[0]), schema.get(words[1])
    if is_number(least) and size < least:
        return _fault(path, f"it must have at least {least} {what}, and has {size}")
    if is_number(most) and size > most:
        return _fault(path, f"it must have at most {most} {what}, and has {size}")
    return None


def _map(schema: Mapping[str, Json], word: str) -> Mapping[str, Json]:
    found = schema.get(word)
    return found if isinstance(found, Mapping) else {}


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _fault(path: str, message: str) -> SchemaFault:
    return SchemaFault(path=path, message=message)
