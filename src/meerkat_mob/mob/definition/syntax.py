"""From bytes to tables: TOML and JSON, with the line and column of what cannot be read.

Knows nothing of mobs. A key written twice is a fault in both syntaxes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Final

from meerkat_mob.mob.definition.diagnostics import Diagnostic, error
from meerkat_mob.mob.definition.dialect import Syntax

_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


_BRACKET_OR_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

MAX_NESTING: Final = 256
"""How deep brackets may stand inside each other. A browser's stack ends at a few thousand."""


def guess_syntax(text: str) -> Syntax:
    """JSON objects begin with a brace, TOML files never do."""
    return "json" if text.lstrip().startswith("{") else "toml"


def read_text(raw: bytes) -> str | Diagnostic:
    """The text of a file; a byte order mark is no part of it."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        return error("invalid_syntax", f"byte {fault.start}", "not UTF-8: save the file as UTF-8")


def read_tables(text: str, syntax: Syntax) -> object | Diagnostic:
    """What a text says, before anybody asks whether it makes sense."""
    if syntax == "json" and max(_depths(text), default=0) > MAX_NESTING:
        message = f"the JSON is nested more than {MAX_NESTING} deep"
        return error("invalid_syntax", None, message)
    try:
        return _read_json(text) if syntax == "json" else tomllib.loads(text)
    except json.JSONDecodeError as fault:
        return _broken("JSON", fault.msg, fault.lineno, fault.colno)
    except tomllib.TOMLDecodeError as fault:
        place = _TOML_PLACE.search(str(fault))
        if place is None or place[1] is None:
            lines = text.splitlines() or [""]
            line, column = len(lines), len(lines[-1]) + 1
        else:
            line, column = int(place[1]), int(place[2])
        return _broken("TOML", _TOML_PLACE.sub("", str(fault)), line, column)
    except RecursionError:
        return error("invalid_syntax", None, f"the {syntax.upper()} is nested too deeply")
    except _NotJson as fault:
        return error("invalid_syntax", None, str(fault))


def _depths(text: str) -> Iterator[int]:
    """How deep each bracket outside of strings stands."""
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(text):
        if match[0] in "[{":
            depth += 1
            yield depth
        elif match[0] in "]}":
            depth -= 1


class _NotJson(Exception):
    """Accepted by the library, and no JSON that means one thing."""


def _read_json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [k for k, _ in pairs]
        twice = next(k for k in keys if keys.count(k) > 1)
        raise _NotJson(f"the key {twice!r} is written twice in one object: keep one")
    return table


def _constant(word: str) -> object:
    raise _NotJson(f"{word} is not a JSON value")


def _broken(what: str, why: str, line: int, column: int) -> Diagnostic:
    message = f"not {what}, at line {line}, column {column}: {why}"
    return error("invalid_syntax", f"line {line}, column {column}", message)
