"""The hooks of one agent that nobody waits for (HK-4).

They change nothing: a patch is published when hooks are asked the next time, a denial is only
told. Each is a task that is kept here, and is awaited when the agent ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from meerkat_mob.core.events import Emit, HookDenied, HookFailed, HookPatchPublished, HookStarted
from meerkat_mob.core.hooks import Deny, Hook, HookCall, HookPatch, HookPatchEnvelope
from meerkat_mob.core.ids import Clock

AskOne = Callable[[Hook, HookCall], Awaitable[Deny | tuple[HookPatch, ...]]]


class Background:
    """The hooks at work, and what they have come to that has not been told."""

    def __init__(self, ask_one: AskOne, *, emit: Emit, clock: Clock) -> None:
        self._ask_one, self._emit, self._clock = ask_one, emit, clock
        self._tasks: set[asyncio.Task[None]] = set()
        # Bounded by the limit of hooks at work: it is emptied whenever some may start.
        self._published: list[HookPatchPublished] = []
        self._revision = 0
        self._closed = False

    def start(self, hook: Hook, call: HookCall) -> None:
        """Has a hook look at ``call``, or says that there are too many at work."""
        if self._closed:
            return
        if len(self._tasks) >= hook.background_limit:
            told = f"skipped: {len(self._tasks)} background hooks are at work"
            self._emit(HookFailed(hook_id=hook.id, point=call.point, error=told))
            return
        self._emit(HookStarted(hook_id=hook.id, point=call.point))
        task = asyncio.create_task(self._ask(hook, call), name=f"hook {hook.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, hook: Hook, call: HookCall) -> None:
        answer = await self._ask_one(hook, call)
        if isinstance(answer, Deny):
            self._emit(denial(hook, answer))
            return
        for patch in answer:
            self._revision += 1
            envelope = HookPatchEnvelope(
                revision=self._revision, patch=patch, published_at=self._clock()
            )
            self._published.append(
                HookPatchPublished(hook_id=hook.id, point=call.point, envelope=envelope)
            )

    def report(self) -> None:
        """Tells of the patches that came since the last time, by their revisions."""
        published, self._published = self._published, []
        for told in published:
            self._emit(told)

    async def close(self) -> None:
        """Cancels those at work and waits for their ends; nothing starts after. Idempotent."""
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def denial(hook: Hook, answer: Deny) -> HookDenied:
    """The event that a hook has said no."""
    return HookDenied(
        hook_id=hook.id,
        point=hook.point,
        reason_code=answer.reason_code,
        message=answer.message,
        payload=answer.payload,
    )
