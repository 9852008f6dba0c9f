"""What a team file may say in more than one way, and what 0.5 and 0.8 know that is not done here.

A key of these tables is never unknown. One without effect is a warning that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from meerkat_mob.core.strict import Dialect
from meerkat_mob.mob.definition.flow import FlowStepSpec, LoopNode, StepNode
from meerkat_mob.mob.definition.model import (
    DirectorySkill,
    ExternalBackend,
    Limits,
    MobDefinition,
    Orchestrator,
    PathSkill,
    Profile,
    Supervisor,
    ToolConfig,
)

Compat: TypeAlias = Literal["0.5", "0.8"]
Syntax: TypeAlias = Literal["json", "toml"]

_IMAGES: Final = "members do not generate images"
_AUTH: Final = "keys come from the environment or from the program"
_TOOL_POLICY: Final = "no tool policy is enforced for a profile"
_FAILURE: Final = "every failed step counts against its run"
_TURN: Final = "a member's turn has no limit of its own"
_HOST_ONLY: Final = "it is a host's bookkeeping, and not read from a TOML file"

_UNSUPPORTED: Final[Mapping[type, Mapping[str, str]]] = {
    MobDefinition: {
        "models": "what is known of models is a user's own word: see docs/models.md",
        "image_generation_provider": _IMAGES,
        "owner_bridge_session_id": "a host says who owns a mob when it creates it",
    },
    Profile: {
        "image_generation_provider": _IMAGES,
        "auto_compact_threshold": "a profile has no compaction threshold of its own",
        "resume_overrides": "a resumed member keeps what it was spawned with",
        "auth_binding": _AUTH,
        "connection_ref": _AUTH,
        "tool_policy": _TOOL_POLICY,
        "tool_access_policy": _TOOL_POLICY,
    },
    ToolConfig: {
        "workgraph": "the shared task board is mob_tasks",
        "image_generation": _IMAGES,
        "read_only": _TOOL_POLICY,
        "tool_policy": _TOOL_POLICY,
        "tool_access_policy": _TOOL_POLICY,
        "mcp_servers": "servers are declared for the whole mob, and named in mcp",
    },
    ExternalBackend: {"supervisor_bridge": "there is no bridge to members on other hosts"},
    Supervisor: {"escalation_turn_timeout_ms": "an escalation takes as long as its turn"},
    Limits: dict.fromkeys(
        ("max_turn_duration", "max_turn_duration_ms", "max_turn_duration_secs"), _TURN
    ),
    FlowStepSpec: {"failure_policy": _FAILURE},
    StepNode: {"failure_policy": _FAILURE},
    LoopNode: {"failure_policy": _FAILURE},
}

_PROMPT: Final = "a profile has no prompt: put the text in [skills.NAME] and NAME into its skills"

_JSON: Final = Dialect(
    aliases={MobDefinition: {"mcp": "mcp_servers"}},
    shorthand={Orchestrator: "profile"},
    unsupported=_UNSUPPORTED,
    hidden={
        MobDefinition: frozenset({"realm_profiles"}),
        PathSkill: frozenset({"tried"}),
        DirectorySkill: frozenset({"tried"}),
    },
    hints={Profile: dict.fromkeys(("system_prompt", "prompt", "instructions"), _PROMPT)},
)

_HOST_FIELDS: Final = frozenset({"owner_session_id", "session_cleanup_policy", "is_implicit"})

DIALECTS: Final[Mapping[Syntax, Dialect]] = {
    "json": _JSON,
    "toml": replace(
        _JSON,
        unsupported={
            **_UNSUPPORTED,
            MobDefinition: {
                **_UNSUPPORTED[MobDefinition],
                **dict.fromkeys(sorted(_HOST_FIELDS), _HOST_ONLY),
            },
        },
        hidden={**_JSON.hidden, MobDefinition: _JSON.hidden[MobDefinition] | _HOST_FIELDS},
    ),
}
"""One dialect per syntax: a TOML file never claims what only a host may."""
