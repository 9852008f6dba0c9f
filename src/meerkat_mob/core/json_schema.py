"""Whether a JSON value fits a JSON Schema, and where it does not (draft 2020-12).

A schema comes with a team, so it is data and nothing else: no code is made of it and nothing is
fetched for it. A keyword that we cannot hold a value to is refused, never passed over. That is why
no library does this: the maintained one needs an extension module that a tab has not, and the pure
one makes code, opens URLs, knows nothing newer than draft 7 and ignores what it does not know.

``format`` and the like are annotations. A pattern is Python's; one that backtracks without end
does so here too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, TypeGuard

import msgspec

from meerkat_mob.core.json_schema_words import (
    ANNOTATIONS,
    ARGUMENTS,
    INSTEAD,
    MAPS,
    SCHEMA_LISTS,
    SCHEMAS,
    TYPES,
    ArgumentKind,
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import InvalidOutputSchema

DEEPEST: Final = 160
"""Schemas inside each other while one value is looked at; more is a schema without an end."""
MOST: Final = 200_000
"""Schemas that are tried on one value; alternatives that nest can ask for any number."""


class SchemaFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a value does not fit, as in ``$.items[2].price``, and why."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class JsonSchema:
    """A schema that was found to be one. Made once, asked as often as one likes."""

    def __init__(self, schema: Json, *, path: str = "schema") -> None:
        """Raises ``InvalidOutputSchema`` with the place of what is no schema."""
        self._root = schema
        self._places: dict[str, Json] = {}
        _Reader(schema, path, self._places).read(schema, path)

    def fault(self, value: Json) -> SchemaFault | None:
        """The first reason why the value does not fit; None when it does."""
        return _Look(self._root, self._places).at(self._root, value, "$", 0)


# -- is it a schema? -----------------------------------------------------------------------------


class _Reader:
    """Goes through a schema once, and finds what its references mean."""

    def __init__(self, root: Json, path: str, places: dict[str, Json]) -> None:
        self._root, self._path, self._places = root, path, places

    def read(self, schema: Json, path: str, depth: int = 0) -> None:
        """Raises ``InvalidOutputSchema``."""
        if isinstance(schema, bool):
            return
        if not isinstance(schema, Mapping):
            raise _refusal("a schema is an object, or true or false", path, "write an object")
        if depth > DEEPEST:
            raise _refusal("the schema nests too deeply", path, "give parts a name in $defs")
        for word, argument in schema.items():
            self._word(word, argument, f"{path}.{word}", depth)

    def _word(self, word: str, argument: Json, path: str, depth: int) -> None:
        if word in ANNOTATIONS or word.startswith("x-"):
            return
        if word in SCHEMAS:
            self.read(argument, path, depth + 1)
        elif word in SCHEMA_LISTS:
            if not _is_list(argument) or not argument:
                raise _refusal("a list of schemas", path, "give at least one")
            for n, one in enumerate(argument):
                self.read(one, f"{path}[{n}]", depth + 1)
        elif word in MAPS:
            if not isinstance(argument, Mapping):
                raise _refusal("names and their schemas", path, "write an object")
            for name, one in argument.items():
                self.read(one, f"{path}.{name}", depth + 1)
                if word == "patternProperties":
                    _compiled(name, path)
        elif word == "$ref":
            self._reference(argument, path)
        else:
            self._plain(word, argument, path)

    def _plain(self, word: str, argument: Json, path: str) -> None:
        kind = ARGUMENTS.get(word)
        if kind is None:
            known = (*ARGUMENTS, *SCHEMAS, *SCHEMA_LISTS, *MAPS, *ANNOTATIONS, "$ref")
            near = difflib.get_close_matches(word, known, 1)
            hint = INSTEAD.get(word) or (f"did you mean {near[0]!r}?" if near else "take it out")
            raise _refusal(f"a value cannot be held to {word!r}", path, hint)
        if not _is_argument(kind, argument):
            raise _refusal(f"it must be {kind}", path, "see draft 2020-12")
        if word == "type":
            wrong = [
                t
                for t in ([argument] if isinstance(argument, str) else _list(argument))
                if t not in TYPES
            ]
            if wrong:
                raise _refusal(f"no type is called {wrong[0]!r}", path, f"take {', '.join(TYPES)}")
        if word == "pattern":
            _compiled(argument, path)

    def _reference(self, argument: Json, path: str) -> None:
        if not isinstance(argument, str) or not (argument == "#" or argument.startswith("#/")):
            raise _refusal(
                f"{argument!r} is not inside this schema", path, 'refer to "#/$defs/NAME"'
            )
        if argument in self._places:
            return
        found = self._root
        for step in argument[2:].split("/") if argument != "#" else ():
            name = step.replace("~1", "/").replace("~0", "~")
            inside = found[name] if isinstance(found, Mapping) and name in found else None
            if _is_list(found) and name.isdecimal() and int(name) < len(found):
                inside = found[int(name)]
            if inside is None:
                raise _refusal(f"there is no {argument!r}", path, "refer to what is there")
            found = inside
        self._places[argument] = found
        self.read(found, f"{self._path}{argument[1:].replace('/', '.')}")


def _compiled(pattern: Json, path: str) -> None:
    try:
        re.compile(str(pattern))
    except re.error as fault:
        raise _refusal(f"no pattern: {fault}", path, "repair it") from None


def _is_argument(kind: ArgumentKind, argument: Json) -> bool:
    match kind:
        case "a number":
            return _is_number(argument)
        case "a number above 0":
            return _is_number(argument) and argument > 0
        case "a count":
            return _is_number(argument) and argument >= 0 and argument == int(argument)
        case "a text":
            return isinstance(argument, str)
        case "a list":
            return _is_list(argument)
        case "a list of names":
            return _is_list(argument) and all(isinstance(name, str) for name in argument)
        case "true or false":
            return isinstance(argument, bool)
        case "a type, or a list of them":
            return isinstance(argument, str) or (_is_list(argument) and bool(argument))
        case "names and lists of names":
            return isinstance(argument, Mapping) and all(
                _is_argument("a list of names", names) for names in argument.values()
            )
        case "anything":
            return True


def _refusal(what: str, path: str, hint: str) -> InvalidOutputSchema:
    return InvalidOutputSchema(what=what, path=path, hint=hint)


# -- does a value fit? ---------------------------------------------------------------------------


class _Look:
    """One value, looked at."""

    def __init__(self, root: Json, places: Mapping[str, Json]) -> None:
        self._root, self._places, self._left = root, places, MOST

    def at(self, schema: Json, value: Json, path: str, depth: int) -> SchemaFault | None:
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return _fault(path, "the schema does not come to an end on this value")
        if schema is True or not isinstance(schema, Mapping):
            return None if schema is not False else _fault(path, "nothing may be here")
        if "$ref" in schema:
            fault = self.at(self._places[str(schema["$ref"])], value, path, depth + 1)
            if fault is not None:
                return fault
        fault = _typed(schema, value, path) or _told(schema, value, path)
        if fault is None and isinstance(value, str):
            fault = _text(schema, value, path)
        elif fault is None and _is_number(value):
            fault = _number(schema, value, path)
        elif fault is None and isinstance(value, Mapping):
            fault = _object(schema, value, path) or self._members(schema, value, path, depth)
        elif fault is None and _is_list(value):
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
        first, rest = _list(schema.get("prefixItems", [])), schema.get("items", True)
        for n, one in enumerate(value):
            then = first[n] if n < len(first) else rest
            if then is not True and (fault := self.at(then, one, f"{path}[{n}]", depth + 1)):
                return fault
        if "contains" not in schema:
            return None
        fits = sum(self.at(schema["contains"], one, path, depth + 1) is None for one in value)
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if _is_number(least) and fits < least:
            return _fault(path, f"at least {least} items must fit what it must contain")
        if _is_number(most) and fits > most:
            return _fault(path, f"at most {most} items may fit what it must contain")
        return None

    def _combined(
        self, schema: Mapping[str, Json], value: Json, path: str, depth: int
    ) -> SchemaFault | None:
        for then in _list(schema.get("allOf", [])):
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
        faults = [self.at(one, value, path, depth + 1) for one in _list(schema[word])]
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
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in _list(wanted)]
    if any(_is_of(name, value) for name in names):
        return None
    return _fault(path, f"expected {' or '.join(names)}, and it is {_type_of(value)}")


def _told(schema: Mapping[str, Json], value: Json, path: str) -> SchemaFault | None:
    if "const" in schema and _key(value) != _key(schema["const"]):
        return _fault(path, f"it must be {_shown(schema['const'])}")
    if "enum" in schema and _key(value) not in [_key(one) for one in _list(schema["enum"])]:
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
    if _is_number(least) and value < least:
        return _fault(path, f"it must be {least} or more")
    if _is_number(most) and value > most:
        return _fault(path, f"it must be {most} or less")
    if _is_number(above) and value <= above:
        return _fault(path, f"it must be more than {above}")
    if _is_number(below) and value >= below:
        return _fault(path, f"it must be less than {below}")
    if _is_number(step) and (Fraction(str(value)) / Fraction(str(step))).denominator != 1:
        return _fault(path, f"it must be a multiple of {step}")
    return None


def _object(schema: Mapping[str, Json], value: Mapping[str, Json], path: str) -> SchemaFault | None:
    needed = [str(name) for name in _list(schema.get("required", []))]
    for name, more in _map(schema, "dependentRequired").items():
        needed += [str(one) for one in _list(more)] if name in value else []
    for name in needed:
        if name not in value:
            return _fault(path, f"the field {name!r} is missing")
    return _sized(schema, len(value), ("minProperties", "maxProperties"), "fields", path)


def _array(schema: Mapping[str, Json], value: Sequence[Json], path: str) -> SchemaFault | None:
    if schema.get("uniqueItems") is True and len({_key(one) for one in value}) < len(value):
        return _fault(path, "no item may be there twice")
    return _sized(schema, len(value), ("minItems", "maxItems"), "items", path)


def _sized(
    schema: Mapping[str, Json], size: int, words: tuple[str, str], what: str, path: str
) -> SchemaFault | None:
    least, most = schema.get(words[0]), schema.get(words[1])
    if _is_number(least) and size < least:
        return _fault(path, f"it must have at least {least} {what}, and has {size}")
    if _is_number(most) and size > most:
        return _fault(path, f"it must have at most {most} {what}, and has {size}")
    return None


# -- JSON ----------------------------------------------------------------------------------------


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, (list, tuple))


def _list(value: Json) -> Sequence[Json]:
    return value if _is_list(value) else ()


def _map(schema: Mapping[str, Json], word: str) -> Mapping[str, Json]:
    found = schema.get(word)
    return found if isinstance(found, Mapping) else {}


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of(name: str, value: Json) -> bool:
    if name == "integer":
        return _is_number(value) and (isinstance(value, int) or value.is_integer())
    return name == _type_of(value)


def _type_of(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if _is_number(value):
        return "number"
    return "object" if isinstance(value, Mapping) else "array"


def _key(value: Json) -> object:
    """Equal for values that are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, Mapping):
        return "object", frozenset((name, _key(one)) for name, one in value.items())
    if _is_list(value):
        return "array", tuple(_key(one) for one in value)
    return _type_of(value), value


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _fault(path: str, message: str) -> SchemaFault:
    return SchemaFault(path=path, message=message)
