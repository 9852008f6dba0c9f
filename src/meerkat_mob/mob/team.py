"""A whole team at once: who is in it, and who is given the task.

What the command line and the page do before they send a task; a program may do it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from meerkat_mob.errors import InvalidParams
from meerkat_mob.mob.definition import MobDefinition
from meerkat_mob.mob.member import Member
from meerkat_mob.mob.mob import Mob


def default_members(definition: MobDefinition) -> dict[str, str]:
    """One member per role, named after it; the orchestrator's first."""
    lead = _lead(definition)
    return {n: n for n in sorted(definition.roles, key=lambda n: n != lead)}


async def spawn_team(mob: Mob, members: Mapping[str, str] | None = None) -> tuple[Member, ...]:
    """Spawns members (id to profile), or the default ones, in order."""
    wanted = default_members(mob.definition) if members is None else members
    return tuple([await mob.spawn(profile, member) for member, profile in wanted.items()])


def addressee(definition: MobDefinition, members: Mapping[str, str], to: str | None = None) -> str:
    """Who gets the task: ``to``, else the orchestrator's member, else the only or first one.

    Raises ``InvalidParams`` when ``to`` is not among the members.
    """
    if to is not None:
        if to not in members:
            raise InvalidParams(
                what=f"no member {to!r}", path="to", hint=f"there are: {', '.join(members)}"
            )
        return to
    lead = _lead(definition)
    return next((m for m, p in members.items() if p == lead), next(iter(members)))


def _lead(definition: MobDefinition) -> str | None:
    return None if definition.orchestrator is None else definition.orchestrator.profile
