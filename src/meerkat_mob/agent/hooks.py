"""The hooks of one agent: asked in order, held to what they may do, told of by events.

What a hook does wrong is the hook's: it cannot break a run otherwise than by a denial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.events import (
    Emit,
    HookCompleted,
    HookDenied,
    HookFailed,
    HookRewriteApplied,
    HookStarted,
)
from meerkat_mob.core.hooks import (
    PATCH_AT,
    Deny,
    DenyReason,
    Hook,
    HookAnswer,
    HookCall,
    HookPatch,
    HookPoint,
)
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import InvalidParams

Apply = Callable[[HookPatch], HookCall]
"""Takes a patch into what passes by, and tells the next hook what that is now."""


class Hooks:
    """All hooks of an agent, by their points. Asking a point without hooks costs one look."""

    def __init__(self, hooks: Iterable[Hook], *, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock = emit, clock
        self._at: dict[HookPoint, tuple[Hook, ...]] = _in_order(tuple(hooks))

    def has(self, point: HookPoint) -> bool:
        """Whether anybody wants to be asked there."""
        return point in self._at

    async def ask(self, call: HookCall, apply: Apply | None = None) -> Deny | None:
        """Asks the hooks of a point; the first denial ends it (HK-2).

        ``apply`` takes their patches, in their order, so the last one wins.
        """
        for hook in self._at.get(call.point, ()):
            answer = await self._one(hook, call)
            if isinstance(answer, Deny):
                self._emit(
                    HookDenied(
                        hook_id=hook.id,
                        point=call.point,
                        reason_code=answer.reason_code,
                        message=answer.message,
                        payload=answer.payload,
                    )
                )
                return answer
            if answer is not None and apply is not None:
                call = apply(answer)
                self._emit(HookRewriteApplied(hook_id=hook.id, point=call.point, patch=answer))
        return None

    async def _one(self, hook: Hook, call: HookCall) -> HookAnswer:
        self._emit(HookStarted(hook_id=hook.id, point=call.point))
        began, reason, limit = self._clock(), _ERROR, asyncio.timeout(hook.timeout_ms / 1000)
        try:
            async with limit:
                answer = await hook.run(call)
            told = _fault_of(hook, call.point, answer)
        except Exception as fault:  # also that it took too long
            answer = None
            told = f"{type(fault).__name__}: {fault}"
            if isinstance(fault, TimeoutError) and limit.expired():
                reason, told = "timeout", f"it took longer than {hook.timeout_ms} ms"
        if told is None:
            took = self._clock() - began
            self._emit(HookCompleted(hook_id=hook.id, point=call.point, duration_ms=took))
            return answer
        self._emit(HookFailed(hook_id=hook.id, point=call.point, error=told))
        if hook.fails_open:
            return None
        return Deny(message=f"hook {hook.id} failed: {told}", reason_code=reason)


_ERROR: Final[DenyReason] = "runtime_error"


def _in_order(hooks: Sequence[Hook]) -> dict[HookPoint, tuple[Hook, ...]]:
    found: dict[HookPoint, tuple[Hook, ...]] = {}
    names: set[str] = set()
    for hook in sorted(hooks, key=lambda hook: hook.priority):
        if hook.id in names:
            raise InvalidParams(
                what=f"two hooks have the id {hook.id!r}", path="hooks", hint="rename one of them"
            )
        if hook.capability == "rewrite" and hook.point not in PATCH_AT:
            raise InvalidParams(
                what=f"hook {hook.id!r} cannot rewrite anything at {hook.point}",
                path="hooks",
                hint=f"choose one of {', '.join(PATCH_AT)}",
            )
        names.add(hook.id)
        found[hook.point] = (*found.get(hook.point, ()), hook)
    return found


def _fault_of(hook: Hook, point: HookPoint, answer: object) -> str | None:
    """Why an answer cannot be taken; None when it can."""
    if answer is None:
        return None
    if hook.capability == "observe":
        return "an observer may only look: make it a guardrail, or a rewriter"
    if not isinstance(answer, Deny) and hook.capability == "guardrail":
        return "a guardrail may deny and not change: make it a rewriter"
    wanted = Deny if isinstance(answer, Deny) else PATCH_AT.get(point)
    if wanted is None or not isinstance(answer, wanted):
        return f"{type(answer).__name__} changes nothing at {point}"
    try:  # a transcript and an event must be able to hold it
        msgspec.json.decode(msgspec.json.encode(answer), type=wanted)
    except (TypeError, ValueError, msgspec.MsgspecError) as fault:
        return f"what it says cannot be kept: {fault}"
    return None
