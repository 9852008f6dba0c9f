"""A mob pauses, goes on, is done, begins anew, and ends: each by a fact, and then what follows.

The rule: the fact is kept first and decides. What follows (interrupting, archiving, ending
servers) never waits for a run longer than the grace time, and is reported, not undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from meerkat_mob.errors import MeerkatError, RevisionConflict, WiringRefused
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import MobDefinition, encode_definition, ensure_valid
from meerkat_mob.mob.facts import (
    Fact,
    MobCompleted,
    MobCreated,
    MobDestroyed,
    MobRedefined,
    MobReset,
    MobResumed,
    MobStopped,
)
from meerkat_mob.mob.retiring import RetireReport, leaving, put_away_all
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.spawning import Spawns
from meerkat_mob.mob.state import Command, require


class StopReport(msgspec.Struct, frozen=True, kw_only=True):
    """``still_running`` are members whose run did not end within the grace time."""

    interrupted: tuple[str, ...] = ()
    still_running: tuple[str, ...] = ()


class EndReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each member. ``still_running``: runs that did not end in time."""

    members: tuple[RetireReport, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether everything was put away."""
        return all(report.is_clean for report in self.members)


class Lifecycle:
    """The commands that concern the mob as a whole. One at a time."""

    def __init__(self, context: MobContext, spawns: Spawns) -> None:
        self._context, self._spawns = context, spawns
        self._lock = asyncio.Lock()
        self.is_over = False
        """Whether nothing is at work here any more, and nothing will be."""

    async def stop(self) -> StopReport:
        """Interrupts every member and lets nothing run until ``resume``; nothing is lost.

        Raises ``InvalidTransition``, and ``StoreError`` with nothing changed.
        """
        context = self._context
        async with self._lock:
            await self._record(Command.STOP, lambda: (MobStopped(),))
            self._hold(held=True)
            await self._spawns.cancel("the mob was stopped")
            busy = context.busy_members()
            interrupting = (self._interrupt(entry) for entry in context.roster.list())
            await asyncio.gather(*interrupting)
            with suppress(TimeoutError):
                async with asyncio.timeout(context.grace_s):
                    await context.wait_idle()
            context.service.cancel_all_checkpointers()
            if context.servers is not None:
                await context.servers.stop()
            return StopReport(interrupted=busy, still_running=context.busy_members())

    async def resume(self) -> None:
        """Lets a stopped mob work again, first on what was waiting."""
        context = self._context
        async with self._lock:
            await self._record(Command.RESUME, lambda: (MobResumed(),))
            context.service.rearm_all_checkpointers()
            if context.servers is not None:
                context.servers.start()
            self._hold(held=False)

    async def complete(self) -> EndReport:
        """Its work is done: every member retires, in one step, and none comes any more."""
        return await self._end(Command.COMPLETE, self._completing, "the mob was completed")

    async def destroy(self) -> EndReport:
        """Ends it for good, whatever its state."""
        report = await self._end(Command.DESTROY, self._destroying, "the mob was destroyed")
        await self.shutdown()
        return report

    async def shutdown(self) -> None:
        """Lets go of everything that is at work here; what is kept stays as it is. Idempotent."""
        if self.is_over:
            return
        self.is_over = True
        context, reason = self._context, "the mob was shut down"
        await self._spawns.cancel(reason)
        await context.settle()
        context.close()
        suspend = context.runtime.suspend_session
        going = (suspend(e.session_id, reason=reason) for e in context.roster.list())
        with suppress(TimeoutError):  # a run that does not end now ends with the realm
            async with asyncio.timeout(context.grace_s):
                await asyncio.gather(*going)
        for end in tuple(context.ends.values()):
            await end()
        if context.servers is not None:
            await context.servers.stop()

    async def redefine(self, definition: MobDefinition, expected_revision: int) -> int:
        """Members to come are made from another definition; returns its revision.

        Raises ``DefinitionInvalid``, ``RevisionConflict``, and ``WiringRefused`` for the
        definition of another mob.
        """
        context = self._context
        ensure_valid(definition)
        if definition.id != context.mob_id:
            raise WiringRefused(
                f"the definition is of {definition.id!r}, not of {context.mob_id!r}"
            )
        encoded = msgspec.Raw(encode_definition(definition))

        def decide() -> Sequence[Fact]:
            if context.revision != expected_revision:
                raise RevisionConflict(
                    what=f"the definition of {context.mob_id!r}",
                    expected=expected_revision,
                    actual=context.revision,
                )
            return (MobRedefined(definition=encoded, revision=expected_revision + 1),)

        await self._record(Command.REDEFINE, decide)
        return context.revision

    async def reset(self) -> EndReport:
        """Begins anew from its definition: no members, no tasks, and it runs.

        The facts stay: it is a boundary in them, not an end.
        """
        context = self._context
        report = await self._end(Command.RESET, self._resetting, "the mob was reset")
        context.service.rearm_all_checkpointers()
        if context.servers is not None:
            context.servers.start()
        return report

    async def _end(
        self, command: Command, facts: Callable[[], Sequence[Fact]], reason: str
    ) -> EndReport:
        context = self._context
        async with self._lock:
            gone: list[RosterEntry] = []

            def decide() -> Sequence[Fact]:
                gone[:] = context.roster.list()
                return facts()

            await self._record(command, decide)
            await self._spawns.cancel(reason)
            reports = await put_away_all(context, gone, reason=reason)
            if context.servers is not None:
                await context.servers.stop()
            return EndReport(members=reports)

    def _completing(self) -> Sequence[Fact]:
        return (*self._all_leave(), MobCompleted())

    def _destroying(self) -> Sequence[Fact]:
        return (*self._all_leave(), MobDestroyed())

    def _resetting(self) -> Sequence[Fact]:
        definition = msgspec.Raw(encode_definition(self._context.definition))
        return (*self._all_leave(), MobCreated(definition=definition), MobReset())

    def _all_leave(self) -> tuple[Fact, ...]:
        context = self._context
        return tuple(fact for e in context.roster.list() for fact in leaving(context, e))

    async def _record(self, command: Command, decide: Callable[[], Sequence[Fact]]) -> None:
        def allowed() -> Sequence[Fact]:
            require(self._context.journal.state, command)
            return decide()

        await self._context.journal.record(allowed)

    async def _interrupt(self, entry: RosterEntry) -> None:
        with suppress(MeerkatError):  # one that has no inbox has no run either
            await self._context.runtime.interrupt_current_run(entry.session_id)

    def _hold(self, *, held: bool) -> None:
        for entry in self._context.roster.list():
            with suppress(MeerkatError):
                self._context.runtime.hold(entry.session_id, held=held)
