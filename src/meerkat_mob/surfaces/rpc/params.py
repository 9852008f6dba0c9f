"""What each method takes. Names are upstream's; inside the code a member is a member.

``meerkat_id`` is also taken as ``member_id`` or ``agent_identity``. Keys that upstream's methods
have and ours do not yet are known, and refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from meerkat_mob.core.content import Content, ContentBlock
from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.core.strict import Dialect
from meerkat_mob.mob import (
    BudgetSplitPolicy,
    ErrandOptions,
    ExternalPeer,
    ForkContext,
    FullHistory,
    InheritTools,
    LaunchMode,
    ToolAccessPolicy,
)
from meerkat_mob.mob.definition import Profile, RuntimeMode

Count: TypeAlias = Annotated[int, Meta(ge=0)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=1)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]


class Tagged(msgspec.Struct, frozen=True, kw_only=True):
    """Content that says its form: ``{"text": …}`` or ``{"blocks": […]}``."""

    text: str | UnsetType = UNSET
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.text is UNSET) == (self.blocks is UNSET):
            raise ValueError("content says either 'text' or 'blocks'")


Said: TypeAlias = str | Tagged


def content_of(said: Said) -> Content:
    """The content in the form it came in."""
    if isinstance(said, str):
        return said
    if said.text is not UNSET:
        return said.text
    return () if said.blocks is UNSET else said.blocks


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No params."""


class CreateMob(msgspec.Struct, frozen=True, kw_only=True):
    """A definition in its JSON form."""

    definition: JsonObject


class OfMob(msgspec.Struct, frozen=True, kw_only=True):
    """A mob."""

    mob_id: Text


class OfMember(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member of a mob."""

    mob_id: Text
    member: Text


class Spawn(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member to be. ``kickoff`` gives it a first input of our own words.

    ``resume_session_id`` is a session that goes on as its; ``launch_mode`` says that, or whom it
    is a fork of. ``override_profile`` is used instead of the definition's of that name.
    """

    profile: Text
    member: Text
    initial_message: Said | None = None
    kickoff: bool = False
    runtime_mode: RuntimeMode | None = None
    labels: Mapping[str, str] = {}
    context: JsonObject | None = None
    additional_instructions: tuple[str, ...] = ()
    shell_env: Mapping[str, str] = {}
    resume_session_id: Text | None = None
    launch_mode: LaunchMode | None = None
    tool_access_policy: ToolAccessPolicy = InheritTools()
    budget_split_policy: BudgetSplitPolicy | None = None
    auto_wire_parent: bool = False
    parent: Text | None = None
    override_profile: Profile | None = None

    def __post_init__(self) -> None:
        if self.resume_session_id is not None and self.launch_mode is not None:
            raise ValueError("resume_session_id is a launch_mode already: leave one of them out")


class SpawnOne(Spawn, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """The same, with its mob."""

    mob_id: Text


class SpawnMany(msgspec.Struct, frozen=True, kw_only=True):
    """Members to be, in order."""

    mob_id: Text
    specs: tuple[Spawn, ...]


class Errand(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member for one task; without an id it gets one."""

    mob_id: Text
    prompt: Said
    member: Text | None = None
    options: ErrandOptions = ErrandOptions()


class ForkedErrand(Errand, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """The same, by one that remembers what another member said and heard."""

    source_member_id: Text
    fork_context: ForkContext = FullHistory()


class WaitKickoff(msgspec.Struct, frozen=True, kw_only=True):
    """A wait until these members, or all, have had their first turn."""

    mob_id: Text
    member_ids: tuple[Text, ...] = ()
    timeout_ms: Milliseconds = 600_000


class NamedProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile of the realm."""

    name: Text


class NewProfile(NamedProfile, frozen=True, kw_only=True):
    """One to be."""

    profile: Profile


class ProfileAt(NamedProfile, frozen=True, kw_only=True):
    """One as it was read."""

    expected_revision: Count


class ChangedProfile(ProfileAt, frozen=True, kw_only=True):
    """One, and what it is to become."""

    profile: Profile


class Respawn(OfMember, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member that begins anew, with another first input if one is given."""

    initial_message: Said | None = None


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is meant: ``{"local": "<member>"}`` or ``{"external": {…}}``."""

    local: Text | UnsetType = UNSET
    external: ExternalPeer | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.local is UNSET) == (self.external is UNSET):
            raise ValueError("a peer is either 'local' or 'external'")


class Wire(OfMember, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member and whom it may write to; a bare text is a member, too."""

    peer: Text | Peer


class MemberSend(OfMember, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """Something for a member to work on. A known ``idempotency_key`` is not taken twice."""

    content: Said
    handling_mode: HandlingMode = "queue"
    idempotency_key: Text | None = None


class Ask(OfMember, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """The same, with a wait for the answer."""

    content: Said
    timeout_ms: Milliseconds | None = None


class WaitIdle(msgspec.Struct, frozen=True, kw_only=True):
    """A wait until nobody works or will."""

    mob_id: Text
    timeout_ms: Milliseconds | None = None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Stored facts with a higher cursor."""

    mob_id: Text
    after_cursor: Count = 0
    limit: Count = 100


class StreamOpen(msgspec.Struct, frozen=True, kw_only=True):
    """A stream: stored facts after a cursor, then what happens; without a cursor from now."""

    mob_id: Text
    member: Text | None = None
    after_cursor: Count | None = None


class StreamClose(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stream."""

    stream_id: Text


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """What a mob is told to do."""

    mob_id: Text
    action: Literal["stop", "resume", "complete", "reset", "destroy"]


class OfSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session."""

    session_id: Text


class History(OfSession, frozen=True, kw_only=True):
    """A page of its messages."""

    offset: Count = 0
    limit: Count | None = None


_ALIASES: Final = {"member_id": "meerkat_id", "agent_identity": "meerkat_id"}
_LATER: Final = "this version does not do it yet, so nothing was done"
_SPAWN_LATER: Final[Mapping[str, str]] = dict.fromkeys(("backend", "binding"), _LATER)
_SEND_LATER: Final[Mapping[str, str]] = {"render_metadata": _LATER}

DIALECT: Final = Dialect(
    aliases=dict.fromkeys(
        (OfMember, Spawn, SpawnOne, MemberSend, Ask, Errand, ForkedErrand), _ALIASES
    ),
    unsupported={
        Spawn: _SPAWN_LATER,
        SpawnOne: _SPAWN_LATER,
        MemberSend: _SEND_LATER,
        Ask: _SEND_LATER,
    },
)
