"""Texts with places to fill in: ``{{ name }}`` and ``{{ tool.INDEX.path }}``.

A name is a named group of the pattern that matched. A path leads into the result of a tool call
made earlier in the run: which tool, which of its calls (from 0), and then keys and positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.progress import Called

_PLACE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_PATH: Final = re.compile(r"([A-Za-z_][\w-]*)\.(\d+)((?:\.[\w-]+)*)")


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What places are filled from: the groups of a match, and the calls of a run."""

    groups: Mapping[str, str]
    called: Sequence[Called]


def faults_of(value: Json, groups: frozenset[str], calls: Sequence[str]) -> Iterator[str]:
    """What could never be filled in; ``calls`` are the tools called in earlier steps."""
    for place in _places(value):
        path = _PATH.fullmatch(place)
        if path is not None:
            times = calls.count(path[1])
            if int(path[2]) >= times:
                made = f"{times} time{'' if times == 1 else 's'} before this step"
                yield f"{{{{ {place} }}}}: {path[1]!r} is called {made} (calls count from 0)"
        elif not _NAME.fullmatch(place):
            yield f"{{{{ {place} }}}} is neither a name nor tool.INDEX.path"
        elif place not in groups:
            known = ", ".join(sorted(groups)) or "none"
            yield f"{{{{ {place} }}}}: `when` has no group of that name; it has: {known}"


def _places(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield from (found[1].strip() for found in _PLACE.finditer(value))
        case Mapping():
            for item in value.values():
                yield from _places(item)
        case Sequence():
            for item in value:
                yield from _places(item)
        case _:
            pass


def filled_text(text: str, values: Values) -> str:
    """The text with every place filled in. Raises ``LookupError``, naming the place."""
    return _PLACE.sub(lambda found: _as_text(_value(found[1].strip(), values)), text)


def filled(value: Json, values: Values) -> Json:
    """A JSON value with every place in its texts filled in.

    A text that is one place and nothing else becomes the value itself, whatever its type. Raises
    ``LookupError``, naming the place.
    """
    match value:
        case str():
            alone = _PLACE.fullmatch(value)
            if alone is not None and "{{" not in alone[1]:
                return _value(alone[1].strip(), values)
            return filled_text(value, values)
        case Mapping():
            return {key: filled(item, values) for key, item in value.items()}
        case Sequence():
            return [filled(item, values) for item in value]
        case _:
            return value


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(place: str, values: Values) -> Json:
    path = _PATH.fullmatch(place)
    if path is None:
        return values.groups[place]
    calls = [done for done in values.called if done.tool == path[1]]
    if int(path[2]) >= len(calls):
        raise LookupError(f"{{{{ {place} }}}}: there is no such call")
    result = calls[int(path[2])].result
    return _inside(result, path[3].split(".")[1:], place) if path[3] else result


def _inside(result: str, steps: Sequence[str], place: str) -> Json:
    try:
        value: Json = msgspec.json.decode(result)
        for step in steps:
            match value:
                case Mapping():
                    value = value[step]
                case list():
                    value = value[int(step)]
                case _:
                    raise LookupError(step)
    except (msgspec.DecodeError, LookupError, ValueError):
        raise LookupError(f"{{{{ {place} }}}} is not in the result {result[:200]!r}") from None
    return value
