"""Methods by which members go, begin anew, and are wired (spec surfaces 3; mob 2.6 to 2.8)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from meerkat_mob.mob import ExternalPeer, RespawnReceipt, RetireReport
from meerkat_mob.surfaces.rpc import params
from meerkat_mob.surfaces.rpc.host import Host


class Wired(msgspec.Struct, frozen=True, kw_only=True):
    """``changed`` is false when it stood so already."""

    mob_id: str
    changed: bool


async def retire(host: Host, given: params.OfMember) -> RetireReport:
    """Ends a member; says what could not be put away. An unknown id is fine."""
    return await host.realm.mob(given.mob_id).retire(given.member)


async def respawn(host: Host, given: params.Respawn) -> RespawnReceipt:
    """A member begins anew in a session of its own; all else stays as it was."""
    first = given.initial_message
    return await host.realm.mob(given.mob_id).respawn(
        given.member, None if first is None else params.content_of(first)
    )


async def wire(host: Host, given: params.Wire) -> Wired:
    """Lets two members, or a member and somebody outside, write to each other."""
    mob = host.realm.mob(given.mob_id)
    return Wired(mob_id=mob.id, changed=await mob.wire(given.member, _peer(given)))


async def unwire(host: Host, given: params.Wire) -> Wired:
    """Takes that back."""
    mob = host.realm.mob(given.mob_id)
    return Wired(mob_id=mob.id, changed=await mob.unwire(given.member, _peer(given)))


def _peer(given: params.Wire) -> str | ExternalPeer:
    peer = given.peer
    if isinstance(peer, str):
        return peer
    if peer.local is not UNSET:
        return peer.local
    return ExternalPeer(name="") if peer.external is UNSET else peer.external


async def force_cancel(host: Host, given: params.OfMember) -> params.Nothing:
    """Cancels the run a member is in; the member stays (U-4)."""
    await host.realm.mob(given.mob_id).member(given.member).interrupt()
    return params.Nothing()
