"""A stored session becomes the request that brings it to life again (spec sessions 1.10).

The rule: what is said now wins, what was stored comes next, and the surroundings are asked last
(REC-4). Live things (tools, clients) are never stored, so they are always said now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import BudgetLimits, SessionBuildState
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.deferred_turn import DeferredTurnState, allows_build_overrides
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import PeerMeta, SessionMetadata
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.provider_names import Provider, infer_provider
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.reserved import BUILD_STATE, DEFERRED_TURN, SESSION_METADATA
from meerkat_mob.core.session import Session
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import InvalidParams, MissingSessionMetadata, SessionUnsupported

T = TypeVar("T")


class RecoveryOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is resumed with instead of what was stored. UNSET inherits.

    ``max_tokens`` and ``system_prompt`` are taken before the first turn only (SES-11).
    """

    model: str | UnsetType = UNSET
    provider: Provider | UnsetType = UNSET
    provider_params: Mapping[str, Json] | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    system_prompt: str | UnsetType = UNSET
    keep_alive: bool | UnsetType = UNSET
    comms_name: str | UnsetType = UNSET
    peer_meta: PeerMeta | UnsetType = UNSET
    external_tools: tuple[Tool, ...] = ()
    toolboxes: tuple[Toolbox, ...] = ()
    hooks: tuple[Hook, ...] = ()
    skills: tuple[Skill, ...] = ()
    max_turns: int | UnsetType = UNSET
    budget_limits: BudgetLimits | UnsetType = UNSET
    session_budget: BudgetLimits | UnsetType = UNSET
    call_timeout_override: int | Literal["disabled"] | UnsetType = UNSET
    compaction: CompactionPolicy | UnsetType = UNSET
    fallbacks: tuple[str, ...] | UnsetType = UNSET
    output_schema: OutputSchema | UnsetType = UNSET
    structured_output_retries: int | UnsetType = UNSET


class RecoveryContext(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where it is resumed. Counts only for what the stored session does not say."""

    realm_id: str | UnsetType = UNSET
    instance_id: str | UnsetType = UNSET
    backend: str | UnsetType = UNSET
    config_generation: int | UnsetType = UNSET


NOTHING: RecoveryOverrides = RecoveryOverrides()
ANYWHERE: RecoveryContext = RecoveryContext()


def build_recovered_session(
    session: Session,
    overrides: RecoveryOverrides = NOTHING,
    context: RecoveryContext = ANYWHERE,
) -> CreateSessionRequest:
    """The deferred create request that a stored session goes on with (REC-5).

    Raises ``MissingSessionMetadata`` (REC-1), ``InvalidParams`` for a provider without a model
    (REC-2), and ``SessionUnsupported`` for what is taken before the first turn only (REC-3).
    """
    stored = SESSION_METADATA.read(session.metadata)
    if stored is None:
        raise MissingSessionMetadata(session_id=session.id)
    if overrides.provider is not UNSET and overrides.model is UNSET:
        raise InvalidParams(
            what="a provider without a model", path="provider", hint="say the model as well"
        )
    _refuse_what_is_late(session, overrides)
    metadata = _surrounded(_answered(stored, overrides), context)
    build = BUILD_STATE.read(session.metadata) or SessionBuildState()
    known = msgspec.structs.replace(
        session, metadata=SESSION_METADATA.write(session.metadata, metadata)
    )
    params = overrides.provider_params
    return CreateSessionRequest(
        model=metadata.model,
        max_tokens=metadata.max_tokens if overrides.max_tokens is UNSET else overrides.max_tokens,
        system_prompt=None if overrides.system_prompt is UNSET else overrides.system_prompt,
        initial_turn="defer",
        build=SessionBuildOptions(
            session_id=session.id,
            resume_session=known,
            provider=metadata.provider,
            self_hosted_server_id=metadata.self_hosted_server_id,
            provider_params=_params(metadata) if params is UNSET else params,
            keep_alive=overrides.keep_alive,
            comms_name=metadata.comms_name
            if overrides.comms_name is UNSET
            else overrides.comms_name,
            peer_meta=overrides.peer_meta,
            external_tools=overrides.external_tools,
            toolboxes=overrides.toolboxes,
            hooks=overrides.hooks,
            skills=overrides.skills,
            max_turns=_first(overrides.max_turns, build.max_turns),
            budget_limits=_first(overrides.budget_limits, build.budget_limits),
            session_budget=_first(overrides.session_budget, build.session_budget),
            call_timeout_override=_first(
                overrides.call_timeout_override, build.call_timeout_override
            ),
            compaction=_first(overrides.compaction, build.compaction),
            fallbacks=_first(overrides.fallbacks, build.fallbacks),
            output_schema=_first(overrides.output_schema, build.output_schema),
            structured_output_retries=_first(
                overrides.structured_output_retries, metadata.structured_output_retries
            ),
        ),
    )


def _first(said: T | UnsetType, stored: T | UnsetType) -> T | UnsetType:
    return stored if said is UNSET else said


def _refuse_what_is_late(session: Session, overrides: RecoveryOverrides) -> None:
    deferred = DEFERRED_TURN.read(session.metadata) or DeferredTurnState()
    if allows_build_overrides(deferred):
        return
    late = [n for n in ("system_prompt", "max_tokens") if getattr(overrides, n) is not UNSET]
    if late:
        raise SessionUnsupported(
            what=f"{' and '.join(late)} can be given before the first turn only, and this "
            "session has begun: resume it without, or create a new session",
            session_id=session.id,
        )


def _answered(stored: SessionMetadata, overrides: RecoveryOverrides) -> SessionMetadata:
    """Another model belongs to its own provider and to no server of ours, unless it is said."""
    if overrides.model is UNSET:
        return stored
    provider = overrides.provider
    return msgspec.structs.replace(
        stored,
        model=overrides.model,
        provider=infer_provider(overrides.model) if provider is UNSET else provider,
        self_hosted_server_id=UNSET,
    )


def _surrounded(metadata: SessionMetadata, context: RecoveryContext) -> SessionMetadata:
    missing = {
        name: getattr(context, name)
        for name in context.__struct_fields__
        if getattr(metadata, name) is UNSET and getattr(context, name) is not UNSET
    }
    return msgspec.structs.replace(metadata, **missing)


def _params(metadata: SessionMetadata) -> Mapping[str, Json] | UnsetType:
    """The stored parameters, if they are an object as they must be (SES-8)."""
    params = metadata.provider_params
    return params if isinstance(params, Mapping) else UNSET
