"""The shape a run's answer must have: a JSON Schema, with or without our wrapper around it.

People write the bare schema; upstream stores the wrapper. Both are read, the wrapper is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import InvalidOutputSchema, InvalidParams

_WRAPPER_KEYS: Final = frozenset({"schema", "name", "strict", "compat", "format"})


class OutputSchema(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A JSON Schema and how strictly a provider is held to it."""

    schema: Mapping[str, Json]
    name: str | UnsetType = UNSET
    strict: bool = False
    compat: Literal["lossy", "strict"] = "lossy"
    format: Literal["meerkat_v1"] = "meerkat_v1"


def output_of(wanted: object, *, name: str | None = None) -> OutputSchema:
    """The form that answers are to have: a type that msgspec can describe, or a JSON Schema.

    Raises ``InvalidOutputSchema`` for what is neither.
    """
    if isinstance(wanted, OutputSchema):
        return wanted
    if isinstance(wanted, Mapping):
        schema = cast("Mapping[str, Json]", wanted)
    else:
        try:
            schema = msgspec.json.schema(wanted)
        except TypeError as fault:
            raise InvalidOutputSchema(
                what=str(fault), path="output_schema", hint="take a type that msgspec can describe"
            ) from None
    return OutputSchema(schema=schema, name=UNSET if name is None else name)


def parse_output_schema(value: Json, *, path: str = "output_schema") -> OutputSchema:
    """Reads a wrapper or a bare JSON Schema.

    An object is the wrapper when its ``schema`` is an object and it has no key that a wrapper does
    not have; every other object is the schema itself. Raises ``InvalidParams`` with the place.
    """
    if not isinstance(value, Mapping):
        raise InvalidParams(what="an output schema is a JSON object", path=path)
    if not (isinstance(value.get("schema"), Mapping) and value.keys() <= _WRAPPER_KEYS):
        return OutputSchema(schema=value)
    try:
        return msgspec.convert(
            {key: item for key, item in value.items() if item is not None}, OutputSchema
        )
    except msgspec.ValidationError as fault:
        raise InvalidParams(what=str(fault), path=path) from fault
