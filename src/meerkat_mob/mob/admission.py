"""Whether a member may come to be: all that can be refused before anything exists (2.4.1)."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from meerkat_mob.core.ids import comms_name
from meerkat_mob.errors import (
    DefinitionInvalid,
    InvalidParams,
    MemberExists,
    MemberNotFound,
    ProfileNotFound,
    WiringRefused,
)
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import Profile, check_profile, errors_of
from meerkat_mob.mob.profiles import RealmProfile
from meerkat_mob.mob.request import Fork, SpawnSpec
from meerkat_mob.mob.state import Command, require

RESERVED: Final = "__flow_system_"


def admit(
    context: MobContext,
    spec: SpawnSpec,
    kept: RealmProfile | None = None,
    *,
    command: Command = Command.SPAWN,
) -> Profile:
    """The profile of a member to be, in the order of the rules.

    ``kept`` is the realm's profile where the role is one. Raises ``InvalidTransition``,
    ``InvalidParams``, ``WiringRefused``, ``MemberExists``, ``ProfileNotFound``,
    ``DefinitionInvalid`` (a realm's profile does not fit this mob), ``MemberNotFound`` (there is
    nobody to fork, or no parent).
    """
    require(context.journal.state, command)
    _insist_on_id(context, spec, respawned=command is Command.RESPAWN)
    profile = _profile(context, spec, kept)
    if not profile.tools.comms:
        raise WiringRefused(
            f"profile {spec.profile!r} has no comms, and a member of a team must be reachable: "
            f"set profiles.{spec.profile}.tools.comms = true"
        )
    if (profile.backend or context.definition.backend.default) == "external":
        raise WiringRefused(
            f"profile {spec.profile!r} has the backend 'external', and no external agent is bound "
            "to this member: use the backend 'session'"
        )
    if isinstance(spec.launch_mode, Fork):
        context.entry(spec.launch_mode.source_member_id)
    if spec.auto_wire_parent:
        _insist_on_parent(context, spec)
    return profile


def _insist_on_id(context: MobContext, spec: SpawnSpec, *, respawned: bool) -> None:
    member = spec.member_id
    if not member.strip() or "/" in member:
        raise InvalidParams(
            what=f"{member!r} cannot be a member's id",
            path="member_id",
            hint="use a name without slashes",
        )
    if member.startswith(RESERVED):
        raise WiringRefused(f"ids that start with {RESERVED!r} are reserved: choose another id")
    if respawned:
        return
    if context.roster.get(member) is not None or member in context.departing:
        raise MemberExists(member=member)
    if entry := context.roster.acquainted(comms_name(context.mob_id, spec.profile, member)):
        raise WiringRefused(
            f"{entry.member!r} is wired to somebody outside of the name {member!r}: "
            "choose another id"
        )


def _profile(context: MobContext, spec: SpawnSpec, kept: RealmProfile | None) -> Profile:
    definition, role = context.definition, spec.profile
    found, reference = definition.profiles.get(role), definition.realm_profiles.get(role)
    known = tuple(definition.roles)
    if found is None and reference is None:
        raise ProfileNotFound(profile=role, known=known)
    if spec.override_profile is not UNSET:
        return spec.override_profile
    if found is not None:
        return found
    if kept is None:
        name = role if reference is None else reference.realm_profile
        raise ProfileNotFound(profile=role, known=known, realm_profile=name)
    if faults := errors_of(check_profile(definition, role, kept.profile)):
        source = f"realm profile {kept.name!r}, revision {kept.revision}"
        raise DefinitionInvalid(diagnostics=faults, source=source)
    return kept.profile


def _insist_on_parent(context: MobContext, spec: SpawnSpec) -> None:
    if spec.parent is UNSET:
        raise InvalidParams(
            what="auto_wire_parent without a parent", path="parent", hint="say who the parent is"
        )
    if context.roster.get(spec.parent) is None:
        known = [e.member for e in context.roster.list()]
        raise MemberNotFound(member=spec.parent, known=known)
