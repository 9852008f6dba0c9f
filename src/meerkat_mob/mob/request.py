"""How a member is asked for, as data: kept with the member, so that it can be made once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.mob.definition import Profile, RuntimeMode


class Fresh(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="mode", tag="fresh"):
    """A new session."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="mode", tag="resume"):
    """A session there is already goes on as this member's."""

    session_id: str


class FullHistory(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="full_history"
):
    """Everything the source has said and heard."""


class LastMessages(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="last_messages"
):
    """The last so many messages, without cutting a call from its results."""

    count: Annotated[int, Meta(ge=1)]


ForkContext: TypeAlias = FullHistory | LastMessages


class Fork(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="mode", tag="fork"):
    """The session begins as a fork of another member's."""

    source_member_id: str
    fork_context: ForkContext = FullHistory()


LaunchMode: TypeAlias = Fresh | Resume | Fork


class InheritTools(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="inherit"
):
    """All tools its profile has."""


class AllowTools(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="allow_list"
):
    """These, as far as its profile has them."""

    value: tuple[str, ...]


class DenyTools(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="deny_list"
):
    """All but these."""

    value: tuple[str, ...]


ToolAccessPolicy: TypeAlias = InheritTools | AllowTools | DenyTools


class SplitEqual(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="equal"
):
    """Each child gets as much as the others."""


class SplitProportional(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="proportional"
):
    """Each child gets its share."""


class SplitRemaining(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="remaining"
):
    """A child gets what is left."""


class SplitFixed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="fixed"
):
    """A child gets this many tokens."""

    value: Annotated[int, Meta(ge=0)]


BudgetSplitPolicy: TypeAlias = SplitEqual | SplitProportional | SplitRemaining | SplitFixed


class SpawnSpec(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"profile": "role_name", "member_id": "meerkat_id"},
):
    """A member to be (SpawnMemberSpec). Absent fields are taken from the profile.

    ``initial_message`` is its first input; ``kickoff`` gives it a first input of our own words.
    ``context`` and ``additional_instructions`` follow the prompt of its role. ``shell_env`` is
    added to the environment of its commands. ``auto_wire_parent`` wires it to the member
    ``parent``. ``override_profile`` is used instead of the definition's of that name.
    ``budget_split_policy`` says how it draws on its parent's budget.
    """

    profile: str
    member_id: str
    initial_message: Content | None = None
    kickoff: bool = False
    runtime_mode: RuntimeMode | UnsetType = UNSET
    labels: Mapping[str, str] = {}
    context: JsonObject | UnsetType = UNSET
    additional_instructions: tuple[str, ...] = ()
    shell_env: Mapping[str, str] = {}
    launch_mode: LaunchMode = Fresh()
    tool_access_policy: ToolAccessPolicy = InheritTools()
    budget_split_policy: BudgetSplitPolicy | UnsetType = UNSET
    auto_wire_parent: bool = False
    parent: str | UnsetType = UNSET
    override_profile: Profile | UnsetType = UNSET
