"""The hooks of one agent: asked in order, held to what they may do, told of by events.

What a hook does wrong is the hook's: it cannot break a run otherwise than by a denial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.agent.background import Background, denial
from meerkat_mob.core.arguments import normalise_arguments
from meerkat_mob.core.events import (
    Emit,
    HookCompleted,
    HookFailed,
    HookRewriteApplied,
    HookStarted,
)
from meerkat_mob.core.hooks import (
    BEFORE,
    PATCH_AT,
    Deny,
    DenyReason,
    Hook,
    HookAnswer,
    HookCall,
    HookPatch,
    HookPoint,
    ToolArgsPatch,
)
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import InvalidParams, MeerkatError

Apply: TypeAlias = Callable[[HookPatch], HookCall]
"""Takes a patch into what passes by, and tells the next hook what that is now."""


class Hooks:
    """All hooks of an agent, by their points. Asking a point without hooks costs one look.

    Raises ``InvalidParams`` for hooks that cannot be; see ``in_order``.
    """

    def __init__(self, hooks: Iterable[Hook], *, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock = emit, clock
        self._at: dict[HookPoint, tuple[Hook, ...]] = {}
        for hook in in_order(hooks):
            self._at[hook.point] = (*self._at.get(hook.point, ()), hook)
        self._background = Background(self._one, emit=emit, clock=clock)

    def has(self, point: HookPoint) -> bool:
        """Whether anybody wants to be asked there."""
        return point in self._at

    async def ask(self, call: HookCall, apply: Apply | None = None) -> Deny | None:
        """Asks the hooks of a point; the first denial ends it (HK-2).

        ``apply`` takes their patches, in their order, so the last one wins. Those in the
        background start at the end, unless somebody has denied, with what passes by then (HK-4).
        """
        self._background.report()
        hooks = self._at.get(call.point, ())
        for hook in hooks:
            if hook.mode == "background":
                continue
            self._emit(HookStarted(hook_id=hook.id, point=call.point))
            answer = await self._one(hook, call)
            if isinstance(answer, Deny):
                self._emit(denial(hook, answer))
                return answer
            for patch in answer:
                call = call if apply is None else apply(patch)
                self._emit(HookRewriteApplied(hook_id=hook.id, point=call.point, patch=patch))
        for hook in hooks:
            if hook.mode == "background":
                self._background.start(hook, call)
        return None

    async def close(self) -> None:
        """Ends what is at work in the background, and starts no more of it. Idempotent."""
        await self._background.close()

    async def _one(self, hook: Hook, call: HookCall) -> Deny | tuple[HookPatch, ...]:
        began, reason, limit = self._clock(), _ERROR, asyncio.timeout(hook.timeout_ms / 1000)
        answer: HookAnswer = None
        try:
            async with limit:
                answer = await hook.run(call)
            told = _fault_of(hook, call.point, answer)
        except MeerkatError as fault:
            told = str(fault)
        except Exception as fault:  # also that it took too long
            told = f"{type(fault).__name__}: {fault}"
            if isinstance(fault, TimeoutError) and limit.expired():
                reason, told = "timeout", f"it took longer than {hook.timeout_ms} ms"
        if told is None:
            took = self._clock() - began
            self._emit(HookCompleted(hook_id=hook.id, point=call.point, duration_ms=took))
            return answer if isinstance(answer, Deny) else _patches(answer)
        self._emit(HookFailed(hook_id=hook.id, point=call.point, error=told))
        if hook.fails_open:
            return ()
        return Deny(message=f"hook {hook.id} failed: {told}", reason_code=reason)


_ERROR: Final[DenyReason] = "runtime_error"


def in_order(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    """The hooks as they will be asked (HK-2).

    Raises ``InvalidParams``, with the place, for an id that is used twice and for a hook that
    could never do what it says (HK-4).
    """
    ordered = tuple(sorted(hooks, key=lambda hook: hook.priority))
    names: set[str] = set()
    for hook in ordered:
        if hook.id in names:
            raise InvalidParams(
                what=f"two hooks have the id {hook.id!r}", path="hooks", hint="rename one of them"
            )
        names.add(hook.id)
        if hook.capability == "rewrite" and hook.point not in PATCH_AT:
            raise InvalidParams(
                what=f"hook {hook.id!r} cannot rewrite anything at {hook.point}",
                path=f"hooks.{hook.id}.capability",
                hint=f"choose one of {', '.join(PATCH_AT)}",
            )
        if hook.mode == "background":
            _insist_on_background(hook)
    return ordered


def _insist_on_background(hook: Hook) -> None:
    if hook.point in BEFORE and hook.capability != "observe":
        raise InvalidParams(
            what=f"hook {hook.id!r} can only look at {hook.point}: the run does not wait for it",
            path=f"hooks.{hook.id}.capability",
            hint="make it an observer, or ask it in the foreground",
        )
    if not hook.fails_open:
        raise InvalidParams(
            what=f"hook {hook.id!r} cannot fail closed: the run does not wait for it",
            path=f"hooks.{hook.id}.failure_policy",
            hint="say fail_open, or ask it in the foreground",
        )


def _patches(answer: HookPatch | tuple[HookPatch, ...] | None) -> tuple[HookPatch, ...]:
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _fault_of(hook: Hook, point: HookPoint, answer: HookAnswer) -> str | None:
    """Why an answer cannot be taken; None when it can."""
    wanted: type[msgspec.Struct] | None = PATCH_AT.get(point)
    parts: tuple[Deny | HookPatch, ...]
    if isinstance(answer, Deny):
        wanted, parts = Deny, (answer,)
    else:
        parts = _patches(answer)
    if parts and hook.capability == "observe":
        return "an observer may only look: make it a guardrail, or a rewriter"
    if parts and hook.capability == "guardrail" and wanted is not Deny:
        return "a guardrail may deny and not change: make it a rewriter"
    for part in parts:
        if wanted is None or not isinstance(part, wanted):
            return f"{type(part).__name__} changes nothing at {point}"
        try:  # a transcript and an event must be able to hold it
            msgspec.json.decode(msgspec.json.encode(part), type=wanted)
            if isinstance(part, ToolArgsPatch):
                normalise_arguments(msgspec.json.encode(part.args))
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as fault:
            return f"what it says cannot be kept: {fault}"
    return None
