"""The rules a whole definition keeps (spec mob 1.12), all of them checked every time.

Findings come in one order: the mob, its profiles, skills, wiring, back end, then flows.
References to realm profiles count as roles; what is inside them is checked when they are resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from meerkat_mob.errors import DefinitionInvalid, InvalidOutputSchema, InvalidParams
from meerkat_mob.llm.base_url import endpoint_of
from meerkat_mob.mob.definition.diagnostics import (
    Diagnostic,
    error,
    errors_of,
    warning,
    warnings_of,
)
from meerkat_mob.mob.definition.model import MobDefinition, Profile
from meerkat_mob.mob.definition.output import output_of_profile
from meerkat_mob.mob.definition.skills import check_skills
from meerkat_mob.mob.definition.validate_flow import check_flows

RESERVED_PREFIX: Final = "__flow_system_"
"""Names that belong to the flow engine: no profile and no member begins with it."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def validate(definition: MobDefinition) -> list[Diagnostic]:
    """Every finding, errors and warnings, in a fixed order."""
    return [
        *_check_mob(definition),
        *_check_profiles(definition),
        *check_skills(definition),
        *_check_wiring(definition),
        *_check_backend(definition),
        *check_flows(definition),
    ]


def ensure_valid(definition: MobDefinition) -> tuple[Diagnostic, ...]:
    """The warnings of a definition from which a mob may be created.

    Raises ``DefinitionInvalid`` with every finding when one of them is an error.
    """
    found = validate(definition)
    if errors_of(found):
        raise DefinitionInvalid(diagnostics=found)
    return warnings_of(found)


def is_identifier(name: str) -> bool:
    """A letter or underscore, then letters, digits, underscores and hyphens, all ASCII."""
    return _IDENTIFIER.fullmatch(name) is not None


def _check_mob(definition: MobDefinition) -> Iterator[Diagnostic]:
    mob_id = definition.id
    if not mob_id.strip():
        yield error("invalid_mob_id", "mob.id", "the id is blank: name the mob")
    elif "/" in mob_id or not mob_id.isprintable() or mob_id != mob_id.strip():
        what = f"the id {mob_id!r} cannot be part of an address mob/profile/member"
        yield error("invalid_mob_id", "mob.id", f"{what}: leave out '/' and outer blanks")
    if not definition.roles:
        yield error("empty_profiles", "profiles", "a mob needs at least one profile")
    lead = definition.orchestrator
    if lead is not None and lead.profile not in definition.roles:
        message = f"the orchestrator's profile {lead.profile!r} does not exist"
        yield error("missing_orchestrator_profile", "mob.orchestrator", message)


def _check_profiles(definition: MobDefinition) -> Iterator[Diagnostic]:
    for name, binding in definition.bindings.items():
        place = f"profiles.{name}"
        if not is_identifier(name):
            message = f"the profile name {name!r} is not a letter, then letters, digits, '-' or '_'"
            yield error("invalid_profile_name", place, message)
        if name.startswith(RESERVED_PREFIX):
            message = f"profile names that begin with {RESERVED_PREFIX!r} belong to the flow engine"
            yield error("reserved_system_identifier", place, message)
        if isinstance(binding, Profile):
            yield from _check_inside(definition, binding, place)


def check_profile(definition: MobDefinition, role: str, profile: Profile) -> list[Diagnostic]:
    """Every finding about a profile that is not written in the definition, as one of its roles."""
    return [*_check_inside(definition, profile, f"profiles.{role}")]


def _check_inside(definition: MobDefinition, profile: Profile, place: str) -> Iterator[Diagnostic]:
    """A definition with no skills (or servers) at all may name those of its host: a warning."""
    for i, name in enumerate(profile.skills):
        if name not in definition.skills:
            absent = error if definition.skills else warning
            message = f"the skill {name!r} does not exist: add [skills.{name}]"
            yield absent("missing_skill_ref", f"{place}.skills[{i}]", message)
    for i, name in enumerate(profile.tools.mcp):
        if name not in definition.mcp_servers:
            absent = error if definition.mcp_servers else warning
            message = f"the MCP server {name!r} does not exist: add [mcp.{name}]"
            yield absent("missing_mcp_ref", f"{place}.tools.mcp[{i}]", message)
    yield from _check_server(profile, place)
    try:
        output_of_profile(profile, name="answer", place=place)
    except InvalidOutputSchema as fault:
        yield error("invalid_output_schema", fault.path, f"{fault.what}: {fault.hint}")
    threshold = profile.max_inline_peer_notifications
    if threshold is not None and threshold < -1:
        yield error(
            "invalid_inline_peer_notification_threshold",
            f"{place}.max_inline_peer_notifications",
            f"{threshold} is no threshold: -1 is always, 0 never, more is a number of peers",
        )


def _check_server(profile: Profile, place: str) -> Iterator[Diagnostic]:
    url, place = profile.base_url, f"{place}.base_url"
    if url is UNSET:
        return
    if profile.self_hosted_server_id is not UNSET:
        message = "self_hosted_server_id names a server already: leave one of the two out"
        yield error("invalid_value", place, message)
    try:
        endpoint_of(url, endpoint="", version="")
    except InvalidParams as fault:
        yield error("invalid_value", place, str(fault))


def _check_wiring(definition: MobDefinition) -> Iterator[Diagnostic]:
    for i, rule in enumerate(definition.wiring.role_wiring):
        for side, role in (("a", rule.a), ("b", rule.b)):
            if role not in definition.roles:
                message = f"the profile {role!r} does not exist"
                yield error("invalid_wiring_profile", f"wiring.role_wiring[{i}].{side}", message)


def _check_backend(definition: MobDefinition) -> Iterator[Diagnostic]:
    chosen = [definition.backend.default, *(p.backend for p in definition.profiles.values())]
    if "external" not in chosen:
        return
    external = definition.backend.external
    if external is None:
        message = "the external back end is chosen and not described: add [backend.external]"
        yield error("missing_external_backend_config", "backend.external", message)
    elif not external.address_base.strip():
        message = "the address of the external back end is blank"
        yield error("invalid_external_backend_config", "backend.external.address_base", message)
