"""Tool arguments in the one form we store and hash.

A model's arguments are normalised once, when its call is assembled, and their bytes are never
re-encoded after that (spec sessions section 0): keys sorted by code point at every level, the
last duplicate wins, no blanks, integers exact within i64/u64, other numbers in shortest form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.safe_json import decode_json

EMPTY: Final = msgspec.Raw(b"{}")
_I64_MIN: Final = -(2**63)
_U64_MAX: Final = 2**64 - 1
_DEEPEST: Final = 128
"""Levels of nesting we take: a fixed number, so that every interpreter refuses the same calls."""
_MINUS_ZERO: Final = re.compile(rb"-0(?![.eE])")
"""Perhaps the integer ``-0``, which upstream reads as the float; or the like inside a text."""


def normalise_arguments(raw: bytes | str) -> msgspec.Raw:
    """The stored form of ``raw``; blank input is ``{}``.

    Raises ``ValueError`` when it is not a JSON object: such a call cannot be dispatched.
    """
    if not raw.strip():
        return EMPTY
    value = _decode(raw)
    if not isinstance(value, dict):
        raise ValueError("tool arguments must be a JSON object")
    return encode_arguments(value)


def normalise_json(raw: bytes | str | msgspec.Raw) -> msgspec.Raw:
    """The stored form of any JSON value. Raises ``ValueError`` when it is none."""
    return encode_arguments(_decode(raw))


def _decode(raw: bytes | str | msgspec.Raw) -> Json:
    value = decode_json(raw)
    text = raw.encode() if isinstance(raw, str) else bytes(raw)
    if _MINUS_ZERO.search(text) is None:
        return value
    again: Json = json.loads(text, parse_int=lambda word: -0.0 if word == "-0" else int(word))
    return again


def encode_arguments(value: Json) -> msgspec.Raw:
    """The stored form of arguments that are Python values already.

    Raises ``ValueError`` when they nest too deep or hold a number that no float can hold.
    """
    return msgspec.Raw(msgspec.json.encode(_sorted(value, _DEEPEST)))


def _sorted(value: Json, levels: int) -> Json:
    match value:
        case str() | bool() | None:
            return value
        case int() | float():
            return _number(value)
        case _ if levels == 0:
            raise ValueError(f"JSON nested deeper than {_DEEPEST} levels is not taken")
        case Mapping():
            return {key: _sorted(value[key], levels - 1) for key in sorted(value)}
        case Sequence():
            return [_sorted(item, levels - 1) for item in value]


def _number(value: float) -> float:
    """Integers beyond 64 bits become the nearest float, as they do where upstream reads them."""
    if isinstance(value, int) and not _I64_MIN <= value <= _U64_MAX:
        try:
            return float(value)
        except OverflowError as fault:
            raise ValueError("a number in the arguments is out of range") from fault
    return value
