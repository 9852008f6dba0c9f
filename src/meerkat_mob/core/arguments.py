"""Tool arguments in the one form we store and hash.

A model's arguments are normalised once, when its call is assembled, and their bytes are never
re-encoded after that (spec sessions section 0): keys sorted by code point at every level, the
last duplicate wins, no blanks, integers exact within i64/u64, other numbers in shortest form.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json

EMPTY: Final = msgspec.Raw(b"{}")
_I64_MIN: Final = -(2**63)
_U64_MAX: Final = 2**64 - 1


def normalise_arguments(raw: bytes | str) -> msgspec.Raw:
    """The stored form of ``raw``; blank input is ``{}``.

    Raises ``ValueError`` when it is not a JSON object: such a call cannot be dispatched.
    """
    if not raw.strip():
        return EMPTY
    value: Json = msgspec.json.decode(raw)
    if not isinstance(value, dict):
        raise ValueError("tool arguments must be a JSON object")
    return encode_arguments(value)


def encode_arguments(value: Json) -> msgspec.Raw:
    """The stored form of arguments that are Python values already."""
    return msgspec.Raw(msgspec.json.encode(_sorted(value)))


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(v) for v in value]
    if isinstance(value, int) and not _I64_MIN <= value <= _U64_MAX:
        return float(value)
    return value
