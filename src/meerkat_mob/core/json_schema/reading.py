"""Whether something is a JSON Schema, and one that we can hold values to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from meerkat_mob.core.json_schema.values import as_list, is_list, is_number
from meerkat_mob.core.json_schema.words import (
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
from meerkat_mob.core.strict import nearest
from meerkat_mob.errors import InvalidOutputSchema

DEEPEST: Final = 160
"""Schemas inside each other, as they are written."""


class Reader:
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
            if not is_list(argument) or not argument:
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
            self._reference(argument, path, depth)
        else:
            self._plain(word, argument, path)

    def _plain(self, word: str, argument: Json, path: str) -> None:
        kind = ARGUMENTS.get(word)
        if kind is None:
            known = (*ARGUMENTS, *SCHEMAS, *SCHEMA_LISTS, *MAPS, *ANNOTATIONS, "$ref")
            near = nearest(word, known)
            hint = INSTEAD.get(word) or (f"did you mean {near!r}?" if near else "take it out")
            raise _refusal(f"a value cannot be held to {word!r}", path, hint)
        if not _is_argument(kind, argument):
            raise _refusal(f"it must be {kind}", path, "see draft 2020-12")
        if word == "type":
            wrong = [
                t
                for t in ([argument] if isinstance(argument, str) else as_list(argument))
                if t not in TYPES
            ]
            if wrong:
                raise _refusal(f"no type is called {wrong[0]!r}", path, f"take {', '.join(TYPES)}")
        if word == "pattern":
            _compiled(argument, path)

    def _reference(self, argument: Json, path: str, depth: int) -> None:
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
            if is_list(found) and name.isdecimal() and int(name) < len(found):
                inside = found[int(name)]
            if inside is None:
                raise _refusal(f"there is no {argument!r}", path, "refer to what is there")
            found = inside
        self._places[argument] = found
        self.read(found, f"{self._path}{argument[1:].replace('/', '.')}", depth + 1)


def _compiled(pattern: Json, path: str) -> None:
    try:
        re.compile(str(pattern))
    except re.error as fault:
        raise _refusal(f"no pattern: {fault}", path, "repair it") from None


def _is_argument(kind: ArgumentKind, argument: Json) -> bool:
    match kind:
        case "a number":
            return is_number(argument)
        case "a number above 0":
            return is_number(argument) and argument > 0
        case "a count":
            return is_number(argument) and argument >= 0 and argument == int(argument)
        case "a text":
            return isinstance(argument, str)
        case "a list":
            return is_list(argument)
        case "a list of names":
            return is_list(argument) and all(isinstance(name, str) for name in argument)
        case "true or false":
            return isinstance(argument, bool)
        case "a type, or a list of them":
            return isinstance(argument, str) or (is_list(argument) and bool(argument))
        case "names and lists of names":
            return isinstance(argument, Mapping) and all(
                _is_argument("a list of names", names) for names in argument.values()
            )
        case "anything":
            return True


def _refusal(what: str, path: str, hint: str) -> InvalidOutputSchema:
    return InvalidOutputSchema(what=what, path=path, hint=hint)
