"""Errors as they leave through a wire: a stable code, a sentence, and the facts behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import MeerkatError


class CallError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call failed. ``code`` is for programs, ``message`` for people."""

    code: str
    message: str
    data: Mapping[str, Json] = {}


def call_error(error: BaseException) -> CallError:
    """The error of a call; one that is not ours is a fault of ours."""
    if not isinstance(error, MeerkatError):
        told = f"{type(error).__name__}: {error}; this is a fault of meerkat-mob: report it"
        return CallError(code="INTERNAL_ERROR", message=told)
    facts: object = msgspec.to_builtins(dict(error.facts()), enc_hook=str)
    return CallError(code=error.code, message=str(error), data=cast("Mapping[str, Json]", facts))
