"""What a session is asked to do: create requests and turn requests (spec sessions 2.2).

Two rooms that may not know each other share these: the sessions admit them, the agent builder
reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import BudgetLimits, MobToolAuthorityContext
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.content import Content, TextBlock
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import RenderMetadata, UserMessage
from meerkat_mob.core.metadata import PeerMeta
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.provider_names import Provider
from meerkat_mob.core.session import Session
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.tool_visibility import ToolFilter
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool

ExecutionKind: TypeAlias = Literal["content_turn", "resume_pending"]


class SessionBuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the session's agent is built, beside its model.

    ``resume_session`` is a session that goes on: what is not said here stays as it is there.
    ``provider`` and ``self_hosted_server_id`` say who has the model, where its name does not: the
    second is a server of the model catalogue, or the URL of one, which gets no key.
    ``comms_name`` is the public address ``mob/profile/member``; ``external_tools`` are the tools
    the caller provides, ``toolboxes`` hold some that come and go, and ``hooks`` look at its runs:
    none of them is stored. ``inherited_tool_filter`` hides tools for the session's whole life.
    ``provider_params`` go
    into each model request as they are (RFC 7396). ``budget_limits`` hold for each run,
    ``session_budget`` for all of them together; a model call may take ``call_timeout_override`` ms.
    ``compaction`` says when its history becomes shorter. ``skills`` can be read with
    ``load_skill``, and a run can be referred to them; they are not stored either.
    ``fallbacks`` are models that are asked, one after the other, in a run whose model fails for
    good; ``provider_params`` go to those of the same provider only.
    ``output_schema`` is the form of each run's answer (see ``output_of``), which the model may try
    to give ``structured_output_retries`` times in all; 2 if not said.
    """

    session_id: str | UnsetType = UNSET
    resume_session: Session | UnsetType = UNSET
    provider: Provider | UnsetType = UNSET
    self_hosted_server_id: str | UnsetType = UNSET
    comms_name: str | None = None
    peer_meta: PeerMeta | UnsetType = UNSET
    realm_id: str | UnsetType = UNSET
    keep_alive: bool | UnsetType = UNSET
    provider_params: Mapping[str, Json] | UnsetType = UNSET
    external_tools: tuple[Tool, ...] = ()
    toolboxes: tuple[Toolbox, ...] = ()
    inherited_tool_filter: ToolFilter | UnsetType = UNSET
    hooks: tuple[Hook, ...] = ()
    skills: tuple[Skill, ...] = ()
    fallbacks: tuple[str, ...] | UnsetType = UNSET
    max_turns: int | UnsetType = UNSET
    budget_limits: BudgetLimits | UnsetType = UNSET
    session_budget: BudgetLimits | UnsetType = UNSET
    call_timeout_override: int | Literal["disabled"] | UnsetType = UNSET
    compaction: CompactionPolicy | UnsetType = UNSET
    output_schema: OutputSchema | UnsetType = UNSET
    structured_output_retries: int | UnsetType = UNSET
    mob_tool_authority_context: MobToolAuthorityContext | UnsetType = UNSET


class CreateSessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A new session, and its first turn unless ``initial_turn`` is defer.

    A deferred prompt is dropped, or kept for the first turn with policy ``stage`` (DEF-1).
    ``skill_references`` are for the first turn, if it is not deferred.
    """

    model: str
    prompt: Content = ""
    render_metadata: RenderMetadata | UnsetType = UNSET
    system_prompt: str | None = None
    max_tokens: int = 4096
    skill_references: tuple[str, ...] = ()
    initial_turn: Literal["run_immediately", "defer"] = "run_immediately"
    deferred_prompt_policy: Literal["discard", "stage"] = "discard"
    build: SessionBuildOptions = SessionBuildOptions()
    labels: Mapping[str, str] = {}


class StartTurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One run on an existing session.

    ``preface`` holds messages that precede the prompt in the same run, each its own message of
    the transcript. ``system_prompt`` is taken only by the first turn of a deferred session.
    ``flow_tool_overlay`` hides tools in this run, beside what the session's filters hide (TS-4).
    ``skill_references`` names skills whose texts are before the model in this run alone; the
    transcript never has them.
    """

    prompt: Content = ""
    preface: tuple[UserMessage, ...] = ()
    system_prompt: str | None = None
    render_metadata: RenderMetadata | UnsetType = UNSET
    additional_instructions: tuple[str, ...] = ()
    execution_kind: ExecutionKind | UnsetType = UNSET
    skill_references: tuple[str, ...] = ()
    flow_tool_overlay: ToolFilter = "all"


def with_instructions(prompt: Content, instructions: tuple[str, ...]) -> Content:
    """The prompt behind its notices: paragraphs of a text, a leading block of a multimodal one."""
    if not instructions:
        return prompt
    notices = "\n\n".join(f"[SYSTEM NOTICE: {text}]" for text in instructions)
    if isinstance(prompt, str):
        return f"{notices}\n\n{prompt}" if prompt else notices
    return (TextBlock(text=notices), *prompt)
