"""Who is wired to whom by the definition's rules (spec mob 2.4.4, step 5). Pure."""

from __future__ import annotations

from meerkat_mob.mob.definition import MobDefinition
from meerkat_mob.mob.roster import Roster


def wiring_targets(
    definition: MobDefinition, roster: Roster, *, member: str, profile: str
) -> tuple[str, ...]:
    """The members that a new member is to be wired to, by id and without repeats.

    Everyone is wired to the orchestrator's members when ``auto_wire_orchestrator`` says so, and
    to the members of the profiles its role is paired with; a role paired with itself means every
    two of its members. Nobody is wired to itself.
    """
    roles: set[str] = set()
    wiring = definition.wiring
    if wiring.auto_wire_orchestrator and definition.orchestrator is not None:
        lead = definition.orchestrator.profile
        roles |= {lead} if profile != lead else set(definition.profiles) - {lead}
    for rule in wiring.role_wiring:
        if rule.a == profile:
            roles.add(rule.b)
        if rule.b == profile:
            roles.add(rule.a)
    return tuple(e.member for e in roster.list() if e.profile in roles and e.member != member)
