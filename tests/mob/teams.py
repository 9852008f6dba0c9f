"""Small teams for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.mob.definition import (
    MobDefinition,
    Orchestrator,
    Profile,
    RoleWiring,
    RuntimeMode,
    ToolConfig,
    Wiring,
)


def a_profile(
    *,
    tools: ToolConfig | None = None,
    runtime_mode: RuntimeMode = "autonomous_host",
    external_addressable: bool = False,
    max_inline_peer_notifications: int | None = None,
    skills: tuple[str, ...] = (),
) -> Profile:
    return Profile(
        model="scripted",
        tools=tools or ToolConfig(comms=True, mob_tasks=True),
        runtime_mode=runtime_mode,
        external_addressable=external_addressable,
        max_inline_peer_notifications=max_inline_peer_notifications,
        skills=skills,
    )


def a_team(
    *roles: str,
    profiles: dict[str, Profile] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> MobDefinition:
    """A team of these roles; the first one leads and is wired to everyone."""
    return MobDefinition(
        id="team",
        orchestrator=Orchestrator(profile=roles[0]),
        profiles={role: a_profile() for role in roles} | (profiles or {}),
        wiring=Wiring(
            auto_wire_orchestrator=True,
            role_wiring=tuple(RoleWiring(a=a, b=b) for a, b in pairs),
        ),
    )


def incoming(request: LlmRequest) -> list[str]:
    """The texts of all user messages of a request, newest last."""
    return [text_of(m.content) for m in request.messages if isinstance(m, UserMessage)]
