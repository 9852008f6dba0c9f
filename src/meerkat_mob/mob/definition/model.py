"""A mob as data: who may be in it, how they are wired, what they know (spec mob 1.2, 1.3).

A definition is a plain value: reading it does no I/O, and a started run keeps the one it began
with. Field names are the names on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.metadata import SessionLlmIdentity, by_name
from meerkat_mob.core.provider_names import Provider, infer_provider
from meerkat_mob.mob.definition.flow import U32, Count, FlowSpec

Backend: TypeAlias = Literal["session", "external"]
RuntimeMode: TypeAlias = Literal["autonomous_host", "turn_driven"]
NonEmpty: TypeAlias = Annotated[str, Meta(min_length=1)]
CleanupPolicy: TypeAlias = Literal["manual", "destroy_on_owner_archive"]

# -- profiles ----------------------------------------------------------------------------------


class ToolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What members of a profile may use. Everything is off until it is said.

    ``mcp`` names servers of the definition; ``rust_bundles`` names tool bundles that the host
    program registers (the name is the wire's).
    """

    builtins: bool = False
    shell: bool = False
    comms: bool = False
    memory: bool = False
    mob: bool = False
    mob_tasks: bool = False
    schedule: bool = False
    mcp: tuple[str, ...] = ()
    rust_bundles: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A role: the template members are made from.

    ``provider``, ``self_hosted_server_id`` and ``base_url`` say who has ``model`` where its name
    does not tell: the second is a server of the model catalogue, the third the URL of one, which
    gets no key. ``fallbacks`` are models that are asked when ``model`` fails. ``backend`` None
    means the mob's default. ``max_inline_peer_notifications``: None the runtime's
    default, 0 never, -1 always, more than 0 a threshold of peers.
    """

    model: NonEmpty
    provider: Provider | UnsetType = UNSET
    self_hosted_server_id: NonEmpty | UnsetType = UNSET
    base_url: NonEmpty | UnsetType = UNSET
    fallbacks: tuple[NonEmpty, ...] | UnsetType = UNSET
    skills: tuple[str, ...] = ()
    tools: ToolConfig = ToolConfig()
    peer_description: str = ""
    external_addressable: bool = False
    backend: Backend | None = None
    runtime_mode: RuntimeMode = "autonomous_host"
    max_inline_peer_notifications: int | None = None
    output_schema: JsonObject | None = None
    provider_params: JsonObject | None = None

    def identities(self) -> tuple[SessionLlmIdentity, ...]:
        """Its model and those that stand in for it, each with who has it."""
        server = self.self_hosted_server_id if self.base_url is UNSET else self.base_url
        provider = infer_provider(self.model) if self.provider is UNSET else self.provider
        own = SessionLlmIdentity(model=self.model, provider=provider, self_hosted_server_id=server)
        return own, *map(by_name, self.fallbacks or ())


class RealmRef(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that the realm keeps under this name."""

    realm_profile: str


ProfileBinding: TypeAlias = Profile | RealmRef

# -- what members share ------------------------------------------------------------------------


class Orchestrator(msgspec.Struct, frozen=True, kw_only=True):
    """The coordinating *profile*, not a member."""

    profile: str


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """An MCP server: a command to start, or a URL to reach."""

    command: tuple[str, ...] = ()
    url: str | None = None
    env: Mapping[str, str] = {}


class RoleWiring(msgspec.Struct, frozen=True, kw_only=True):
    """All members of profile ``a`` are wired with all of ``b``; ``a`` may be ``b``."""

    a: str
    b: str


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Which members are wired as they are spawned."""

    auto_wire_orchestrator: bool = False
    role_wiring: tuple[RoleWiring, ...] = ()


class InlineSkill(msgspec.Struct, frozen=True, kw_only=True, tag_field="source", tag="inline"):
    """Knowledge given as text."""

    content: str


class PathSkill(msgspec.Struct, frozen=True, kw_only=True, tag_field="source", tag="path"):
    """Knowledge in a file that was not read: whoever names it cannot be spawned.

    ``tried`` is where a loader looked for it in vain; it is not part of the document.
    """

    path: str
    tried: str | UnsetType = UNSET


class DirectorySkill(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="source", tag="directory"
):
    """An Agent Skill: a folder with a ``SKILL.md``, whose text members read when they need it.

    ``files`` are the texts of the folder by their paths inside it; a loader reads them from
    ``path`` when they are not said, and without them whoever names the skill cannot be spawned.
    ``tried`` is as in ``PathSkill``.
    """

    path: str
    files: Mapping[str, str] = {}
    tried: str | UnsetType = UNSET


SkillSource: TypeAlias = InlineSkill | PathSkill | DirectorySkill


class ExternalBackend(msgspec.Struct, frozen=True, kw_only=True):
    """How members outside this process are addressed."""

    address_base: str


class BackendConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where members live unless their profile says otherwise."""

    default: Backend = "session"
    external: ExternalBackend | None = None


# -- rules for flows ---------------------------------------------------------------------------


class TopologyRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one role may dispatch to another; ``*`` is any role."""

    from_role: str
    to_role: str
    allowed: bool


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Who may dispatch to whom: advised, or enforced."""

    mode: Literal["advisory", "strict"] = "advisory"
    rules: tuple[TopologyRule, ...] = ()


class Supervisor(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told after so many failures; a threshold of 0 tells nobody."""

    role: str
    escalation_threshold: U32


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of flow runs. Times are milliseconds.

    Absent: no retries, 8 orphaned turns, 5,000 ms of grace, the rest unlimited (0 is too).
    """

    max_flow_duration_ms: Count | None = None
    max_step_retries: U32 | None = None
    max_orphaned_turns: U32 | None = None
    cancel_grace_timeout_ms: Count | None = None
    max_active_nodes: Count | None = None
    max_active_frames: Count | None = None
    max_frame_depth: Count | None = None


class NoSpawnPolicy(msgspec.Struct, frozen=True, kw_only=True, tag_field="mode", tag="none"):
    """Nobody is spawned by itself."""


class AutoSpawn(msgspec.Struct, frozen=True, kw_only=True, tag_field="mode", tag="auto"):
    """Member ids that may be spawned when first needed, and their profiles."""

    profile_map: Mapping[str, str]


class EventRouter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events reach subscribers of the whole mob, and how many may wait."""

    buffer_size: Count = 256
    include_patterns: tuple[str, ...] | None = None
    exclude_patterns: tuple[str, ...] | None = None


# -- the whole ---------------------------------------------------------------------------------


class MobDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """The whole definition. Only ``id`` is required; without a profile no mob is created.

    ``realm_profiles`` are the profiles that are references; a document has them under
    ``profiles``. The last three fields are bookkeeping of a host.
    """

    id: str
    orchestrator: Orchestrator | None = None
    profiles: Mapping[str, Profile] = {}
    realm_profiles: Mapping[str, RealmRef] = {}
    mcp_servers: Mapping[str, McpServer] = {}
    wiring: Wiring = Wiring()
    skills: Mapping[str, SkillSource] = {}
    backend: BackendConfig = BackendConfig()
    flows: Mapping[str, FlowSpec] = {}
    topology: Topology | None = None
    supervisor: Supervisor | None = None
    limits: Limits | None = None
    spawn_policy: NoSpawnPolicy | AutoSpawn | None = None
    event_router: EventRouter | None = None
    owner_session_id: str | None = None
    session_cleanup_policy: CleanupPolicy = "manual"
    is_implicit: bool = False

    @property
    def bindings(self) -> dict[str, ProfileBinding]:
        """Every role by name: what it is, or where the realm keeps it."""
        return {**self.profiles, **self.realm_profiles}

    @property
    def roles(self) -> tuple[str, ...]:
        """The name of every role."""
        return tuple(self.bindings)

    def is_owned_by_session(self, session_id: str) -> bool:
        """The mob belongs to that session."""
        return self.owner_session_id == session_id

    def is_session_scoped_to(self, session_id: str) -> bool:
        """The mob belongs to that session and ends with it."""
        ends_with_it = self.session_cleanup_policy == "destroy_on_owner_archive"
        return ends_with_it and self.is_owned_by_session(session_id)


def session_scoped(definition: MobDefinition, owner: str) -> MobDefinition:
    """The same mob, owned by a session and ended with it."""
    return replace(
        definition,
        owner_session_id=owner,
        session_cleanup_policy="destroy_on_owner_archive",
    )


def without_lifecycle_flags(definition: MobDefinition) -> MobDefinition:
    """The same mob without what only a host may claim; for definitions that an agent supplies."""
    return replace(definition, is_implicit=False, session_cleanup_policy="manual")


def implicit_definition(session_id: str, model: str) -> MobDefinition:
    """The mob that a session's delegated members live in."""
    delegate = Profile(
        model=model,
        tools=ToolConfig(comms=True),
        peer_description="Works on one task for the session that delegated it",
    )
    definition = MobDefinition(
        id=f"implicit-{session_id}",
        profiles={"delegate": delegate},
        wiring=Wiring(auto_wire_orchestrator=True),
        is_implicit=True,
    )
    return session_scoped(definition, session_id)
