"""Who may write to whom: by the definition's rules, and changed while the mob runs (2.4.4, 2.8).

A change is one fact; endpoints follow it in the same step. So nothing is half wired, whatever
fails, and what is told of it is news, never the truth.
"""

from __future__ import annotations

from meerkat_mob.core.ids import comms_name
from meerkat_mob.errors import WiringRefused
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import MobDefinition
from meerkat_mob.mob.facts import (
    ExternalPeer,
    ExternalPeerUnwired,
    ExternalPeerWired,
    Fact,
    PeersUnwired,
    PeersWired,
)
from meerkat_mob.mob.news import tell_unwired, tell_wired
from meerkat_mob.mob.roster import Roster
from meerkat_mob.mob.state import Command, require


def wiring_targets(
    definition: MobDefinition, roster: Roster, *, member: str, profile: str
) -> tuple[str, ...]:
    """The members that a new member is to be wired to, by id and without repeats. Pure.

    Everyone is wired to the orchestrator's members when ``auto_wire_orchestrator`` says so, and
    to the members of the profiles its role is paired with; a role paired with itself means every
    two of its members. Nobody is wired to itself, nor to who is broken.
    """
    roles: set[str] = set()
    wiring = definition.wiring
    if wiring.auto_wire_orchestrator and definition.orchestrator is not None:
        lead = definition.orchestrator.profile
        roles |= {lead} if profile != lead else set(definition.roles) - {lead}
    for rule in wiring.role_wiring:
        if rule.a == profile:
            roles.add(rule.b)
        if rule.b == profile:
            roles.add(rule.a)
    if not roles:
        return ()
    return tuple(
        e.member
        for e in roster.list()
        if e.profile in roles and e.member != member and not e.broken
    )


async def wire(context: MobContext, a: str, b: str) -> bool:
    """Wires two members. False when they were wired already: then nothing happens.

    Raises ``WiringRefused`` (nobody is wired to itself), ``MemberNotFound``,
    ``MemberRestoreFailed``, ``InvalidTransition``, ``StoreError``; nothing has changed then.
    """

    def decide() -> tuple[Fact, ...]:
        require(context.journal.state, Command.WIRE)
        if a == b:
            raise WiringRefused(f"{a!r} cannot be wired to itself: name two members")
        one, other = context.entry(a), context.entry(b)
        if b in one.wired_to and a in other.wired_to:
            return ()
        return (PeersWired(a=a, b=b),)

    changed = bool(await context.journal.record(decide))
    if changed:
        await tell_wired(context, a, b)
    return changed


async def unwire(context: MobContext, a: str, b: str) -> bool:
    """Takes that back. False when there was no wire.

    Raises ``WiringRefused``, ``MemberNotFound`` for an unknown ``a``, ``InvalidTransition``.
    """

    def decide() -> tuple[Fact, ...]:
        require(context.journal.state, Command.WIRE)
        if a == b:
            raise WiringRefused(f"{a!r} is not wired to itself: name two members")
        entry = context.roster.get(a) or context.entry(a)
        return (PeersUnwired(a=a, b=b),) if b in entry.wired_to else ()

    changed = bool(await context.journal.record(decide))
    if changed:
        await tell_unwired(context, a, b)
    return changed


async def wire_external(context: MobContext, local: str, spec: ExternalPeer) -> bool:
    """Lets a member write to somebody outside the mob. False when that stands already.

    The other side trusts for itself. Raises ``WiringRefused`` for a name that is a member's or
    that is no ``mob/profile/member``, and as ``wire`` does.
    """

    def decide() -> tuple[Fact, ...]:
        require(context.journal.state, Command.WIRE)
        entry = context.entry(local)
        _insist_on_outsider(context, spec)
        if entry.external_peers.get(spec.name) == spec:
            return ()
        return (ExternalPeerWired(local=local, spec=spec),)

    return bool(await context.journal.record(decide))


async def unwire_external(
    context: MobContext, local: str, name: str, *, spec: ExternalPeer | None = None
) -> bool:
    """Takes that back. False when there was no such peer.

    Raises ``WiringRefused`` when ``spec`` is not the one that is kept, and as ``unwire`` does.
    """

    def decide() -> tuple[Fact, ...]:
        require(context.journal.state, Command.WIRE)
        entry = context.roster.get(local) or context.entry(local)
        known = entry.external_peers.get(name)
        if known is None:
            return ()
        if spec is not None and known != spec:
            raise WiringRefused(
                f"{local!r} knows another {name!r} (peer id {known.peer_id!r}): unwire it by name"
            )
        return (ExternalPeerUnwired(local=local, peer_name=name),)

    return bool(await context.journal.record(decide))


def _insist_on_outsider(context: MobContext, spec: ExternalPeer) -> None:
    parts = spec.name.split("/")
    if len(parts) != 3 or not all(part.strip() for part in parts):
        raise WiringRefused(
            f"{spec.name!r} is no address of somebody outside: write mob/profile/member"
        )
    names = {comms_name(context.mob_id, e.profile, e.member) for e in context.roster.list()}
    if spec.name in names or parts[0] == context.mob_id:
        raise WiringRefused(f"{spec.name!r} is in this mob: wire the member by its id")
