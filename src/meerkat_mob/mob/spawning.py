"""A member comes into being: admitted, given a session, then a fact (spec mob 2.4).

Sessions are made side by side and nobody waits for another's; what decides is one commit, which
holds the member and its wiring. What fails before it leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import MeerkatError, MemberExists, SpawnCancelled
from meerkat_mob.mob.admission import admit
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import missing_flags
from meerkat_mob.mob.facts import (
    CapabilityMissing,
    ExternalPeerWired,
    Fact,
    Kickoff,
    KickoffUpdated,
    MemberRetired,
    MemberSpawned,
    PeersWired,
    SessionRef,
)
from meerkat_mob.mob.kickoff import first_input, kick_off
from meerkat_mob.mob.news import introduce
from meerkat_mob.mob.profiles import RealmProfile
from meerkat_mob.mob.provisioning import Provision, provisioned
from meerkat_mob.mob.request import SpawnSpec
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.state import Command, require
from meerkat_mob.mob.wiring import wiring_targets

PLAIN: Final = SpawnSpec(profile="", member_id="")


class _Pending:
    """A spawn that goes on; ``reason`` is why the mob ended it."""

    def __init__(self, work: asyncio.Task[None]) -> None:
        self.work, self.reason = work, ""


class Spawns:
    """The spawns of a mob that go on, by member id: each id once at a time."""

    def __init__(self, context: MobContext) -> None:
        self._context = context
        self._pending: dict[str, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    async def spawn(self, spec: SpawnSpec, own: Sequence[Tool] = ()) -> None:
        """Makes the member, with tools of its own, and gives it its first input if it has one.

        Raises what ``admit`` and ``provisioned`` raise, and ``SpawnCancelled``; with nothing left
        behind.
        """
        kept = await self._context.realm_profile(spec)
        admit(self._context, spec, kept)
        await self._run(spec.member_id, lambda: self._make(spec, own, None, kept))

    async def respawn(self, entry: RosterEntry, spec: SpawnSpec) -> None:
        """A new session for a member in the place of its own, in one step.

        What it is wired to and its tools stay. Raises as ``spawn`` does; it is as it was then.
        """
        kept = await self._context.realm_profile(spec)
        admit(self._context, spec, kept, command=Command.RESPAWN)
        await self._run(spec.member_id, lambda: self._make(spec, (), entry, kept))

    async def _run(self, member: str, make: Callable[[], Coroutine[None, None, None]]) -> None:
        if member in self._pending:
            raise MemberExists(member=member)
        name = f"spawn of {member}"
        work = asyncio.create_task(make(), name=name)
        pending = self._pending[member] = _Pending(work)
        work.add_done_callback(lambda _: self._pending.pop(member, None))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            with suppress(asyncio.CancelledError, MeerkatError):
                await work
            raise
        if work.cancelled():
            raise SpawnCancelled(member=member, reason=pending.reason or "it was cancelled")
        await work

    async def settled(self, member: str) -> None:
        """Waits until no spawn of this id goes on, however it ends."""
        if pending := self._pending.get(member):
            await asyncio.wait([pending.work])

    async def cancel(self, reason: str, *members: str) -> None:
        """Ends those that go on, or those of these ids; who waits for them is told why."""
        chosen = [self._pending[m] for m in members or tuple(self._pending) if m in self._pending]
        for pending in chosen:
            pending.reason = reason
            pending.work.cancel()
        if chosen:
            await asyncio.wait([pending.work for pending in chosen])

    async def _make(
        self,
        spec: SpawnSpec,
        own: Sequence[Tool],
        former: RosterEntry | None,
        kept: RealmProfile | None,
    ) -> None:
        context = self._context
        profile = admit(context, spec, kept, command=Command.RESPAWN if former else Command.SPAWN)
        async with provisioned(context, spec, profile, own) as made:
            await context.journal.record(lambda: _facts(context, made, former, kept))
        entry = context.roster.get(spec.member_id)
        if entry is None:  # retired again already
            return
        context.watch(entry)
        await introduce(context, entry, known=former.wired_to if former else frozenset())
        if (first := first_input(context.mob_id, spec)) is not None:
            await kick_off(context, entry, first)


def _facts(
    context: MobContext, made: Provision, former: RosterEntry | None, kept: RealmProfile | None
) -> tuple[Fact, ...]:
    require(context.journal.state, Command.RESPAWN if former else Command.SPAWN)
    spec, member = made.spec, made.spec.member_id
    there = context.roster.get(member)
    if there is not None and (former is None or there.session_id != former.session_id):
        raise MemberExists(member=member)
    facts: list[Fact] = []
    if former is not None and there is not None:
        facts.append(retired(there))
    asked = msgspec.structs.replace(spec, profile="", member_id="", labels={})
    facts.append(
        MemberSpawned(
            member=member,
            profile=spec.profile,
            member_ref=SessionRef(session_id=made.session_id),
            runtime_mode=made.mode,
            labels=dict(spec.labels) or UNSET,
            request=UNSET if asked == PLAIN else spec,
            realm_profile=kept or UNSET,
        )
    )
    facts += (
        CapabilityMissing(member=member, flag=flag, reason=reason)
        for flag, reason in missing_flags(made.profile, context.offer.flags)
    )
    facts += (PeersWired(a=peer, b=member) for peer in _targets(context, spec, there))
    if there is not None:
        facts += (
            ExternalPeerWired(local=member, spec=outsider)
            for _, outsider in sorted(there.external_peers.items())
        )
    if first_input(context.mob_id, spec) is not None:
        kickoff = Kickoff(phase="pending", updated_at=context.now())
        facts.append(KickoffUpdated(member=member, kickoff=kickoff))
    return tuple(facts)


def _targets(context: MobContext, spec: SpawnSpec, former: RosterEntry | None) -> tuple[str, ...]:
    """Whom it is wired to: by the rules, to its parent, and to those it was wired to before."""
    roster = context.roster
    wanted = set(
        wiring_targets(context.definition, roster, member=spec.member_id, profile=spec.profile)
    )
    if former is not None:
        wanted = set(former.wired_to)
    if spec.auto_wire_parent and spec.parent is not UNSET:
        wanted.add(spec.parent)
    return tuple(sorted(peer for peer in wanted - {spec.member_id} if roster.get(peer) is not None))


def retired(entry: RosterEntry) -> MemberRetired:
    """The fact that a member is gone."""
    return MemberRetired(
        member=entry.member,
        profile=entry.profile,
        member_ref=SessionRef(session_id=entry.session_id),
    )
