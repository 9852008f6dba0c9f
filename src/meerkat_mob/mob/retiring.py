"""A member goes: first the fact, then what it leaves is put away (spec mob 2.6).

Once the fact is kept the member is gone: not listed, not reachable, not wired. No later step stops
the next one, and what went wrong is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import PEER_RETIRED
from meerkat_mob.errors import MeerkatError, MobError, SessionNotFound
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.facts import Fact
from meerkat_mob.mob.kickoff import changed, is_unfinished
from meerkat_mob.mob.news import tell_peers
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.spawning import retired
from meerkat_mob.mob.state import Command, require

Step: TypeAlias = Literal["stop", "notify_peers", "end_jobs", "archive_session", "forget_memory"]


class StepReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of putting a member away; ``error`` is why it failed."""

    step: Step
    error: str | UnsetType = UNSET


class RetireReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a member that has gone. ``found`` is false when there was none of that id."""

    member_id: str
    session_id: str | UnsetType = UNSET
    found: bool = True
    steps: tuple[StepReport, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether everything was put away."""
        return all(step.error is UNSET for step in self.steps)


def leaving(context: MobContext, entry: RosterEntry) -> tuple[Fact, ...]:
    """The facts with which a member goes; a first turn that is not over is cancelled by it."""
    cancelled = changed(context, entry, "cancelled") if is_unfinished(entry) else ()
    return (*cancelled, retired(entry))


async def retire(context: MobContext, member: str) -> RetireReport:
    """Ends a member. An unknown id is fine (R-1).

    Raises ``InvalidTransition``, and ``StoreError`` when the fact cannot be kept; nothing has
    changed then, and it can be tried again.
    """
    gone: list[RosterEntry] = []

    def decide() -> tuple[Fact, ...]:
        require(context.journal.state, Command.RETIRE)
        entry = context.roster.get(member)
        if entry is None:
            return ()
        gone.append(entry)
        return leaving(context, entry)

    await context.journal.record(decide)
    if not gone:
        return RetireReport(member_id=member, found=False)
    return await put_away(context, gone[-1])


async def put_away_all(
    context: MobContext, entries: Sequence[RosterEntry], *, reason: str
) -> tuple[RetireReport, ...]:
    """Puts away all there were, side by side: nobody is left to be told."""
    going = (put_away(context, entry, reason=reason, news=False) for entry in entries)
    return tuple(await asyncio.gather(*going))


async def put_away(
    context: MobContext,
    entry: RosterEntry,
    *,
    reason: str = "the member has retired",
    news: bool = True,
) -> RetireReport:
    """What a member leaves: its run, its peers, its jobs, its session. Never raises for those.

    A run that does not end is waited for as long as the grace time. Who waits for its inputs is
    told the ``reason``. A cancelled caller does not stop it.
    """
    context.departing[entry.member] = entry
    work = asyncio.ensure_future(_put_away(context, entry, reason, news=news))
    work.add_done_callback(lambda _: context.departing.pop(entry.member, None))
    return await asyncio.shield(work)


async def _put_away(
    context: MobContext, entry: RosterEntry, reason: str, *, news: bool
) -> RetireReport:
    session_id = entry.session_id
    reports: list[StepReport] = []

    async def step(name: Step, work: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(context.grace_s):
                await work()
        except TimeoutError:
            seconds = f"{context.grace_s:g} s"
            reports.append(StepReport(step=name, error=f"it did not end within {seconds}"))
        except MeerkatError as fault:
            reports.append(StepReport(step=name, error=str(fault)))
        else:
            reports.append(StepReport(step=name))

    async def stop() -> None:
        await context.runtime.unregister_session(session_id, reason=reason)

    async def notify() -> None:
        for fault in await tell_peers(context, entry, PEER_RETIRED):
            raise fault

    async def end_jobs() -> None:
        if end := context.ends.pop(session_id, None):
            await end()

    async def archive() -> None:
        if reports[0].error is not UNSET:  # it cannot be archived while its run goes on
            context.begin(_archive(context, session_id), name=f"archive of {session_id}")
            raise MobError("its run goes on; it is archived once that has ended")
        await _archive(context, session_id)

    await step("stop", stop)
    if news:
        await step("notify_peers", notify)
    await step("end_jobs", end_jobs)
    await step("archive_session", archive)
    await step("forget_memory", lambda: context.offer.memory.forget(session_id))
    context.stop_watching(session_id)
    if context.roster.get(entry.member) is None:
        context.member_tools.pop(entry.member, None)
    return RetireReport(member_id=entry.member, session_id=session_id, steps=tuple(reports))


async def _archive(context: MobContext, session_id: str) -> None:
    with suppress(SessionNotFound):
        await context.sessions.archive(session_id)
