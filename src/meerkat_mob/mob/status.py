"""How a member stands: the one place that says so (spec mob 2.10)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.ids import comms_name
from meerkat_mob.errors import SessionNotFound
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.facts import Kickoff
from meerkat_mob.mob.roster import RosterEntry

MemberStatus: TypeAlias = Literal["active", "retiring", "broken", "completed", "unknown"]


class UnreachablePeer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer that a member is wired to, and that cannot be reached; why, if that is known."""

    peer: str
    reason: str | UnsetType = UNSET


class Connectivity(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a member can reach of those it is wired to (MobPeerConnectivitySnapshot).

    Whether somebody outside this realm is there is not known before one writes to them.
    """

    reachable_peer_count: int = 0
    unknown_peer_count: int = 0
    unreachable_peers: tuple[UnreachablePeer, ...] = ()


class MemberSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member as of its last finished run (MobMemberSnapshot). ``busy``: it works or will.

    ``error`` is why it is broken. ``peer_connectivity`` is not there for one that has no place in
    the network.
    """

    status: MemberStatus
    busy: bool = False
    output_preview: str | None = None
    error: str | UnsetType = UNSET
    tokens_used: int = 0
    is_final: bool = False
    current_session_id: str | None = None
    peer_connectivity: Connectivity | UnsetType = UNSET
    kickoff: Kickoff | UnsetType = UNSET


async def classified(context: MobContext, member: str) -> tuple[MemberStatus, RosterEntry | None]:
    """A member's status, cheaply: nothing is read but whether its session lives."""
    entry = context.roster.get(member)
    if entry is None:
        gone = context.departing.get(member)
        return ("unknown", None) if gone is None else ("retiring", gone)
    if entry.broken is not UNSET:
        return "broken", entry
    live = await context.sessions.has_live_session(entry.session_id)
    return ("active" if live else "completed"), entry


async def snapshot(context: MobContext, member: str) -> MemberSnapshot:
    """How a member stands, with what it said last. Unknown ids are unknown and final."""
    status, entry = await classified(context, member)
    if entry is None:
        return MemberSnapshot(status=status, is_final=True)
    told = MemberSnapshot(
        status=status,
        error=entry.broken,
        is_final=status in {"broken", "completed"},
        current_session_id=entry.session_id if status != "completed" else None,
        busy=context.runtime.is_busy(entry.session_id),
        peer_connectivity=_connectivity(context, entry),
        kickoff=entry.kickoff,
    )
    if status == "broken":
        return told
    try:
        view = await context.sessions.read(entry.session_id)
    except SessionNotFound:
        return told
    return msgspec.structs.replace(
        told,
        output_preview=view.state.last_assistant_text,
        tokens_used=view.billing.total_tokens,
    )


def _connectivity(context: MobContext, entry: RosterEntry) -> Connectivity | UnsetType:
    if context.network.endpoint(entry.member) is None:
        return UNSET
    unreachable: list[UnreachablePeer] = []
    reachable = unknown = 0
    for peer in sorted(entry.wired_to):
        other = context.roster.get(peer)
        if other is not None and context.network.is_there(other):
            reachable += 1
        else:
            reason = UNSET if other is None else other.broken
            name = peer if other is None else comms_name(context.mob_id, other.profile, peer)
            unreachable.append(UnreachablePeer(peer=name, reason=reason))
    for name in sorted(entry.external_peers):
        if context.router.has(name):
            reachable += 1
        else:
            unknown += 1
    return Connectivity(
        reachable_peer_count=reachable,
        unknown_peer_count=unknown,
        unreachable_peers=tuple(unreachable),
    )
