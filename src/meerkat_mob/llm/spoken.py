"""The events of an answer as plain data, and back: what a cassette keeps of them.

Nothing is lost but what may be a key: a failure's text is kept without such words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import StopReason
from meerkat_mob.errors import LlmFailed, LlmUnreachable, ScriptError
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)

Spoken: TypeAlias = tuple[str, dict[str, Json]]
"""One event of an answer: its kind, and its fields."""

T = TypeVar("T")
DONE: Final = "done"
_KINDS: Final[Mapping[str, type[LlmEvent]]] = {
    "text": LlmTextDelta,
    "reasoning": LlmReasoningDelta,
    "reasoning_end": LlmReasoningComplete,
    "call_part": LlmToolCallDelta,
    "call": LlmToolCallComplete,
    "usage": LlmUsage,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_QUERY: Final = re.compile(r"(https?://[^\s?#]+)\?\S*")
_WORD: Final = re.compile(r"[\w+=-]{20,}")


class _Failure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The facts of an ``LlmFailed``."""

    code: str
    provider: str
    reason: str
    detail: str
    hint: str
    retryable: bool
    retry_after_ms: int | None
    status: int | None


class _Done(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An ``LlmDone``, whose error is an exception and no data."""

    stop_reason: StopReason | None
    error: _Failure | None
    unsaid: tuple[str, ...] = ()


def spoken_of(event: LlmEvent) -> Spoken:
    """An event as it is kept."""
    if not isinstance(event, LlmDone):
        return _NAMES[type(event)], msgspec.to_builtins(event)
    error = None if event.error is None else _facts(event.error)
    return DONE, msgspec.to_builtins(
        _Done(stop_reason=event.stop_reason, error=error, unsaid=event.unsaid)
    )


def event_of(spoken: Spoken) -> LlmEvent:
    """The event that was kept. Raises ``ValueError`` for what is none, to the last field."""
    name, _ = spoken
    if name == DONE:
        done = _exact(_Done, spoken)
        error = None if done.error is None else _failed(done.error)
        return LlmDone(stop_reason=done.stop_reason, error=error, unsaid=done.unsaid)
    if name not in _KINDS:
        raise ValueError(f"there is no event {name!r}")
    return _exact(_KINDS[name], spoken)


def _exact(kind: type[T], spoken: Spoken) -> T:
    name, fields = spoken
    try:
        event = msgspec.convert(fields, kind)
    except msgspec.ValidationError as fault:
        raise ValueError(f"{name}: {fault}") from fault
    if msgspec.to_builtins(event) != fields:
        raise ValueError(f"{name}: it has a field that no such event has, or lacks one")
    return event


def _facts(error: LlmFailed) -> _Failure:
    return _Failure(
        code=error.code,
        provider=_harmless(error.provider),
        reason=error.reason,
        detail=_harmless(error.detail),
        hint=error.hint,
        retryable=error.retryable,
        retry_after_ms=error.retry_after_ms,
        status=error.status,
    )


def _harmless(text: str) -> str:
    """A text of a server without what may be a key in it: queries of URLs, long words with digits.

    Servers repeat a key that they do not know, and some take it in the URL.
    """
    text = _QUERY.sub(r"\1", text)
    return _WORD.sub(lambda m: "[...]" if any(c.isdigit() for c in m[0]) else m[0], text)


def _failed(facts: _Failure) -> LlmFailed:
    match facts.code:
        case LlmUnreachable.code:
            return LlmUnreachable(
                url=facts.provider,
                detail=facts.detail,
                hint=facts.hint,
                retryable=facts.retryable,
            )
        case ScriptError.code:
            return ScriptError(detail=facts.detail, hint=facts.hint)
        case _:
            return LlmFailed(
                provider=facts.provider,
                reason=facts.reason,
                detail=facts.detail,
                hint=facts.hint,
                retryable=facts.retryable,
                retry_after_ms=facts.retry_after_ms,
                status=facts.status,
            )
