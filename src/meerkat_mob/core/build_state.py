"""What a cold process needs to rebuild an agent, beside the session's identity (spec 1.4).

Live objects (clients, tools, checkpointers) are never stored. A context that permits mob tools is
a stored fact: it wins over one that would be made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import ToolCategory
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.tools import ToolDef


class CallerProvenance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """On whose behalf an operator tool was called. For audit only."""

    caller_session_id: str | UnsetType = UNSET
    caller_mob_id: str | UnsetType = UNSET
    caller_member_id: str | UnsetType = UNSET


class MobToolAuthorityContext(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session may do to mobs: create them, and manage those it was granted."""

    principal_token: str
    can_create_mobs: bool = False
    managed_mob_scope: tuple[str, ...] = ()
    caller_provenance: CallerProvenance | UnsetType = UNSET
    audit_invocation_id: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        scope = tuple(sorted(set(self.managed_mob_scope)))
        msgspec.structs.force_setattr(self, "managed_mob_scope", scope)


class BudgetLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a run, or a session, may consume; ``max_duration`` in ms, and of a run only.

    Tokens and tool calls end a run gracefully, with what it has said; time ends it as failed.
    """

    max_tokens: int | UnsetType = UNSET
    max_duration: int | UnsetType = UNSET
    max_tool_calls: int | UnsetType = UNSET


class SessionBuildState(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The durable build options.

    ``call_timeout_override`` is ms, or off; absent means the model's own. How many peer notices
    are shown inline: -1 all, 0 none, absent 50. ``max_turns`` are the model calls of one run.
    ``hook_ids`` are the hooks without which it does not go on. ``fallbacks`` are the models that
    are asked when its own fails.
    """

    system_prompt: str | UnsetType = UNSET
    output_schema: OutputSchema | UnsetType = UNSET
    hooks_override: Mapping[str, Json] | UnsetType = UNSET
    budget_limits: BudgetLimits | UnsetType = UNSET
    session_budget: BudgetLimits | UnsetType = UNSET
    compaction: CompactionPolicy | UnsetType = UNSET
    recoverable_tool_defs: tuple[ToolDef, ...] = ()
    hook_ids: tuple[str, ...] = ()
    silent_comms_intents: tuple[str, ...] = ()
    max_inline_peer_notifications: int | UnsetType = UNSET
    app_context: Json | UnsetType = UNSET
    additional_instructions: tuple[str, ...] | UnsetType = UNSET
    shell_env: Mapping[str, str] | UnsetType = UNSET
    mob_tool_authority_context: MobToolAuthorityContext | UnsetType = UNSET
    call_timeout_override: int | Literal["disabled"] | UnsetType = UNSET
    max_turns: int | UnsetType = UNSET
    fallbacks: tuple[str, ...] | UnsetType = UNSET


def resolve_authority(
    mob_tools: ToolCategory,
    persisted: MobToolAuthorityContext | UnsetType,
    new_principal: Callable[[], str],
) -> MobToolAuthorityContext | UnsetType:
    """The authority of a session whose mob tools are enabled, disabled or left as they were.

    Enabling without a context makes one that may only create mobs; disabling clears it.
    """
    match mob_tools:
        case "disable":
            return UNSET
        case "enable" if persisted is UNSET:
            return MobToolAuthorityContext(principal_token=new_principal(), can_create_mobs=True)
        case _:
            return persisted


def grant(context: MobToolAuthorityContext, mob_id: str) -> MobToolAuthorityContext:
    """The same authority over one more mob. Granting again changes nothing."""
    if mob_id in context.managed_mob_scope:
        return context
    scope = tuple(sorted((*context.managed_mob_scope, mob_id)))
    return msgspec.structs.replace(context, managed_mob_scope=scope)
