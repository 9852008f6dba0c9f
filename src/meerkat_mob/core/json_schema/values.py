"""JSON values as JSON Schema sees them: their types, and when two of them are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from meerkat_mob.core.jsonvalue import Json


def is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    """Whether it is an array."""
    return isinstance(value, (list, tuple))


def as_list(value: Json) -> Sequence[Json]:
    """The items of an array; none of anything else."""
    return value if is_list(value) else ()


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether it is a number: true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_of(name: str, value: Json) -> bool:
    """Whether it is of a type; 1.0 is an integer, too."""
    if name == "integer":
        return is_number(value) and (isinstance(value, int) or value.is_integer())
    return name == type_of(value)


def type_of(value: Json) -> str:
    """The name of its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if is_number(value):
        return "number"
    return "object" if isinstance(value, Mapping) else "array"


def key_of(value: Json) -> object:
    """Equal for values that are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, Mapping):
        return "object", frozenset((name, key_of(one)) for name, one in value.items())
    if is_list(value):
        return "array", tuple(key_of(one) for one in value)
    return type_of(value), value
