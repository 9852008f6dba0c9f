"""A member begins anew: a new session in the place of the old one, in one step (spec mob 2.7)."""

from __future__ import annotations

import msgspec

from meerkat_mob.core.content import Content
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.request import Fresh
from meerkat_mob.mob.resuming import spec_of
from meerkat_mob.mob.retiring import put_away
from meerkat_mob.mob.spawning import Spawns


class RespawnReceipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member began anew in a session of its own (MemberRespawnReceipt)."""

    member_id: str
    old_session_id: str
    new_session_id: str


async def respawn(
    context: MobContext, spawns: Spawns, member: str, initial_message: Content | None
) -> RespawnReceipt:
    """One commit ends the old session's member and begins the new one's; then the old is put away.

    When it fails, the member is as it was. Raises as ``Spawns.respawn`` does, and
    ``MemberNotFound``.
    """
    await spawns.cancel("its member is respawned", member)
    entry = context.roster.get(member) or context.entry(member)
    spec = msgspec.structs.replace(spec_of(entry), launch_mode=Fresh())
    if initial_message is not None:
        spec = msgspec.structs.replace(spec, initial_message=initial_message)
    await spawns.respawn(entry, spec)
    await put_away(context, entry, reason="the member was respawned", news=False)
    return RespawnReceipt(
        member_id=member,
        old_session_id=entry.session_id,
        new_session_id=context.entry(member).session_id,
    )
