"""What members are told of each other. It is news: ``peers`` and the roster are the truth."""

from __future__ import annotations

from meerkat_mob.comms import PEER_ADDED, PEER_UNWIRED
from meerkat_mob.errors import MeerkatError
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.roster import RosterEntry


async def introduce(
    context: MobContext, entry: RosterEntry, *, known: frozenset[str] = frozenset()
) -> None:
    """Tells a new member of those it is wired to, and those of it who do not ``know`` it yet."""
    for peer in sorted(entry.wired_to):
        other = context.roster.get(peer)
        if other is None:
            continue
        await tell_of(context, entry.member, about=other)
        if peer not in known:
            await tell_of(context, peer, about=entry)


async def tell_of(context: MobContext, reader: str, *, about: RosterEntry) -> None:
    """News of a peer for a member, as much as its profile takes."""
    entry, profile = context.roster.get(reader), context.profile_of(about)
    own = None if entry is None else context.profile_of(entry)
    limit = None if own is None else own.max_inline_peer_notifications
    described = "" if profile is None else profile.peer_description
    spec = context.network.spec(about, described)
    await context.network.tell(reader, PEER_ADDED, spec, limit=limit)


async def tell_wired(context: MobContext, a: str, b: str) -> None:
    """Two members hear of each other."""
    for reader, about in ((a, b), (b, a)):
        if entry := context.roster.get(about):
            await tell_of(context, reader, about=entry)


async def tell_unwired(context: MobContext, a: str, b: str) -> None:
    """Two members hear that they cannot write to each other any more."""
    for reader, about in ((a, b), (b, a)):
        if entry := context.roster.get(about):
            spec = context.network.spec(entry)
            await context.network.tell(reader, PEER_UNWIRED, spec, limit=None)


async def tell_peers(context: MobContext, entry: RosterEntry, intent: str) -> list[MeerkatError]:
    """Tells all it is wired to something about a member; returns what kept some from being told."""
    about = context.network.spec(entry)
    failed: list[MeerkatError] = []
    for peer in sorted(entry.wired_to):
        reader = context.roster.get(peer)
        profile = None if reader is None else context.profile_of(reader)
        limit = None if profile is None else profile.max_inline_peer_notifications
        if fault := await context.network.tell(peer, intent, about, limit=limit):
            failed.append(fault)
    return failed
