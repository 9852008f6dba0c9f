"""A member's first input: how it stands, as a table, and who is told how it ended (spec mob 2.5).

It is accepted under a key of the session's, so a mob that comes back after a crash gives it once
more without its being taken twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from msgspec import UNSET

from meerkat_mob.comms import KICKOFF_CANCELLED, KICKOFF_FAILED
from meerkat_mob.core.content import Content
from meerkat_mob.core.inputs import InputHeader, OperatorSource, PromptInput
from meerkat_mob.errors import KickoffWaitTimedOut, MeerkatError
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.facts import Fact, Kickoff, KickoffPhase, KickoffUpdated
from meerkat_mob.mob.news import tell_peers
from meerkat_mob.mob.request import SpawnSpec
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.runtime import (
    Abandoned,
    CallbackPending,
    Completed,
    CompletedWithoutResult,
    Deduplicated,
    Outcome,
    RuntimeTerminated,
)

NEXT: Final[Mapping[KickoffPhase, frozenset[KickoffPhase]]] = {
    "pending": frozenset({"starting", "failed", "cancelled"}),
    "starting": frozenset({"started", "callback_pending", "failed", "cancelled"}),
    "callback_pending": frozenset({"started", "callback_pending", "failed", "cancelled"}),
    "started": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""What may follow. Anything else is ignored."""

UNFINISHED: Final[frozenset[KickoffPhase]] = frozenset({"pending", "starting"})
"""The member has not had its first turn yet."""


def first_input(mob_id: str, spec: SpawnSpec) -> Content | None:
    """What a new member is given to begin with, if anything."""
    if spec.initial_message is not None or not spec.kickoff:
        return spec.initial_message
    return (
        f'You have joined the team "{mob_id}" as "{spec.member_id}" with the role {spec.profile}. '
        "Look at who your peers are and begin with what your role asks for."
    )


def is_unfinished(entry: RosterEntry) -> bool:
    """Whether the member's first turn is still to come, or to end."""
    return entry.kickoff is not UNSET and entry.kickoff.phase in UNFINISHED


def changed(
    context: MobContext, entry: RosterEntry, phase: KickoffPhase, error: str = ""
) -> tuple[Fact, ...]:
    """The fact of the next phase; none when that may not follow, or the member has gone."""
    now = context.roster.get(entry.member)
    if now is None or now.session_id != entry.session_id or now.kickoff is UNSET:
        return ()
    if phase not in NEXT[now.kickoff.phase]:
        return ()
    kickoff = Kickoff(phase=phase, error=error or UNSET, updated_at=context.now())
    return (KickoffUpdated(member=entry.member, kickoff=kickoff),)


async def kick_off(context: MobContext, entry: RosterEntry, content: Content) -> None:
    """Gives the first input to a member whose kickoff is unfinished, and follows how it ends.

    It was accepted when this returns. Raises ``InboxFull``, ``StoreError`` and others; the kickoff
    has failed then, and the member is there.
    """
    header = InputHeader(
        id=context.new_id(),
        timestamp=context.now(),
        source=OperatorSource(),
        idempotency_key=f"kickoff:{entry.session_id}",
    )
    item = PromptInput(header=header, content=content, handling_mode="queue")
    try:
        accept = context.runtime.accept_input_with_completion
        accepted, ending = await accept(entry.session_id, item)
    except MeerkatError as fault:
        await _record(context, entry, "failed", str(fault))
        raise
    await _record(context, entry, "starting")
    if ending is not None:
        name = f"kickoff of {entry.member}"
        context.begin(_follow(context, entry, ending), name=name)
    elif isinstance(accepted, Deduplicated):  # it ended before the process did
        record = context.runtime.input_state(entry.session_id, accepted.existing_id)
        outcome = None if record is None else record.outcome
        await _conclude(context, entry, outcome or CompletedWithoutResult())


async def wait_for_kickoff(context: MobContext, members: Sequence[str], *, seconds: float) -> None:
    """Waits until these members have had their first turn; who is broken is not waited for (K-4).

    Raises ``KickoffWaitTimedOut`` with those that had not, in the order asked for.
    """

    def pending() -> list[str]:
        found = ((name, context.roster.get(name)) for name in members)
        return [n for n, e in found if e is not None and not e.broken and is_unfinished(e)]

    try:
        async with asyncio.timeout(seconds):
            await context.journal.until(lambda: not pending())
    except TimeoutError:
        raise KickoffWaitTimedOut(seconds=seconds, pending=pending()) from None


async def _follow(context: MobContext, entry: RosterEntry, ending: asyncio.Future[Outcome]) -> None:
    with suppress(MeerkatError):  # what could not be kept is found out when the mob comes back
        await _conclude(context, entry, await ending)


async def _conclude(context: MobContext, entry: RosterEntry, outcome: Outcome) -> None:
    match outcome:
        case Completed() | CompletedWithoutResult():
            await _record(context, entry, "started")
        case CallbackPending():
            await _record(context, entry, "callback_pending")
        case RuntimeTerminated():
            pass  # the process ends, or the member has: it is not the first input that failed
        case Abandoned(reason="cancelled"):
            await _record(context, entry, "cancelled")
        case Abandoned(reason=reason, error=error):
            await _record(context, entry, "failed", str(error or reason))


async def _record(
    context: MobContext, entry: RosterEntry, phase: KickoffPhase, error: str = ""
) -> None:
    kept = await context.journal.record(lambda: changed(context, entry, phase, error))
    if kept and phase in {"failed", "cancelled"}:
        intent = KICKOFF_FAILED if phase == "failed" else KICKOFF_CANCELLED
        await tell_peers(context, context.roster.get(entry.member) or entry, intent)
