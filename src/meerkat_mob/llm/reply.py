"""A model's answer as data: what every model without a server says.

An answer is said in the order in which it is written: join its parts with ``&``. Nothing can
follow an error or a silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidParams, LlmFailed

FailureReason: TypeAlias = Literal[
    "provider_error",
    "rate_limited",
    "context_exceeded",
    "auth_error",
    "invalid_model",
    "network_timeout",
    "call_timeout",
]
"""Why a model call fails (RTY-2)."""

_DETAILS: Final[Mapping[FailureReason, str]] = {
    "provider_error": "the server is down",
    "rate_limited": "there were too many requests",
    "context_exceeded": "the conversation is longer than the model's context",
    "auth_error": "the key is not known",
    "invalid_model": "there is no such model",
    "network_timeout": "nothing was heard for too long",
    "call_timeout": "the call took too long",
}
_PASSING: Final = frozenset({"rate_limited", "network_timeout", "call_timeout"})
"""Reasons that are always worth another try (CLI-3)."""


class Text(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some text. ``delay`` is the time before it and ``pace`` after each word, in seconds.

    Raises ``InvalidParams`` for a time that is none.
    """

    text: str
    delay: float = 0.0
    pace: float = 0.0

    def __post_init__(self) -> None:
        _refuse_no_times(self)


class Thought(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of reasoning, with its times as in ``Text``."""

    text: str
    delay: float = 0.0
    pace: float = 0.0

    def __post_init__(self) -> None:
        _refuse_no_times(self)


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call. ``args`` are the bytes that the model sends: JSON, if it does its work."""

    tool: str
    args: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: its parts in order, then its end.

    It ends with ``error``; or it ``hangs``, which is silence until it is cancelled; or well, with
    ``stop_reason``, which follows from its calls unless it is given. ``usage`` is estimated unless
    it is given, and None means that the model does not say; what fails or hangs tells it only if
    it is given.
    """

    parts: tuple[Text | Thought | Call, ...] = ()
    error: LlmFailed | None = None
    hangs: bool = False
    usage: Usage | UnsetType | None = UNSET
    stop_reason: StopReason | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.hangs and self.error is not None:
            raise InvalidParams(what="no answer both fails and hangs", hint="give one of the two")

    def __and__(self, other: Reply) -> Reply:
        """Both as one answer, after each other; of usage and stop reason the last that is given.

        Raises ``InvalidParams`` when the first never comes to its end.
        """
        if self.error is not None or self.hangs:
            raise InvalidParams(
                what="nothing is said after an error or a silence", hint="put it at the end"
            )
        return Reply(
            parts=self.parts + other.parts,
            error=other.error,
            hangs=other.hangs,
            usage=self.usage if other.usage is UNSET else other.usage,
            stop_reason=self.stop_reason if other.stop_reason is UNSET else other.stop_reason,
        )

    @property
    def text(self) -> str:
        """What it says, without its reasoning."""
        return "".join([part.text for part in self.parts if isinstance(part, Text)])

    @property
    def calls(self) -> tuple[Call, ...]:
        """Its tool calls."""
        return tuple([part for part in self.parts if isinstance(part, Call)])


def say(
    text: str = "",
    *,
    delay: float = 0.0,
    pace: float = 0.0,
    usage: Usage | UnsetType | None = UNSET,
    stop_reason: StopReason | UnsetType = UNSET,
) -> Reply:
    """A text; without one, what else is given holds for the parts it is joined with.

    Raises ``InvalidParams`` for a time that is none.
    """
    part = Text(text=text, delay=delay, pace=pace)
    return Reply(parts=(part,), usage=usage, stop_reason=stop_reason)


def think(text: str, *, delay: float = 0.0, pace: float = 0.0) -> Reply:
    """A piece of reasoning. Raises ``InvalidParams`` for a time that is none."""
    return Reply(parts=(Thought(text=text, delay=delay, pace=pace),))


def call(tool: str, /, **args: Json) -> Reply:
    """A tool call. Join answers with ``&``: two calls at once, or a text and a call."""
    return Reply(parts=(Call(tool=tool, args=encode_arguments(args)),))


def fail(
    detail: str = "",
    *,
    reason: FailureReason = "provider_error",
    retryable: bool | UnsetType = UNSET,
    retry_after_ms: int | None = None,
) -> Reply:
    """An error, at once or after what it is joined to, with the facts of ``LlmFailed``.

    Unless ``retryable`` says so, rate limits and time-outs can be retried and nothing else
    (CLI-3). Raises ``InvalidParams`` for a reason that no model call fails for.
    """
    if reason not in _DETAILS:
        raise InvalidParams(
            what=f"no model call fails for the reason {reason!r}",
            path="reason",
            hint=f"use one of {', '.join(_DETAILS)}",
        )
    error = LlmFailed(
        provider="scripted",
        reason=reason,
        detail=detail or _DETAILS[reason],
        hint="the script says so",
        retryable=reason in _PASSING if retryable is UNSET else retryable,
        retry_after_ms=retry_after_ms,
    )
    return Reply(error=error)


def hang() -> Reply:
    """Silence, at once or after what it is joined to, until the call is cancelled."""
    return Reply(hangs=True)


def _refuse_no_times(part: Text | Thought) -> None:
    for name, value in (("delay", part.delay), ("pace", part.pace)):
        if not 0 <= value < math.inf:
            raise InvalidParams(
                what=f"{value!r} is no time to wait", path=name, hint="give seconds"
            )
