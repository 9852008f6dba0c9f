"""The state a session begins with: a new one, or one that goes on.

The rule: what a request says wins over what is stored, what it does not say stays (SVC-13), and a
first turn that was once started never comes again (DEF-2).
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import SessionBuildState
from meerkat_mob.core.deferred_turn import (
    DeferredTurnState,
    allows_build_overrides,
    arm,
    stage_initial_prompt,
)
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.provider_names import infer_provider
from meerkat_mob.core.requests import CreateSessionRequest
from meerkat_mob.core.reserved import DEFERRED_TURN, SESSION_METADATA
from meerkat_mob.core.session import Session
from meerkat_mob.core.tool_visibility import ToolFilter
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import SessionNotFound, SessionUnsupported
from meerkat_mob.sessions.form import insist_on_form, insist_on_labels, keepable
from meerkat_mob.sessions.state import SessionState, state_of


def first_state(request: CreateSessionRequest, *, session_id: str, now: int) -> SessionState:
    """What a session that is created now begins with.

    Raises ``SessionNotFound`` for one that was archived, ``SessionUnsupported`` for a system
    prompt that comes after the first turn (SES-11), and ``InvalidParams`` for what could not be
    read back.
    """
    document = request.build.resume_session
    insist_on_labels(request.labels)
    with keepable():
        if document is UNSET:
            state = _new(request, session_id=session_id, now=now)
        else:
            state = _resumed(document, request, session_id=session_id, now=now)
        state = _with_tools_hidden(state, request.build.inherited_tool_filter)
    insist_on_form(state)
    return state


def _with_tools_hidden(state: SessionState, hidden: ToolFilter | UnsetType) -> SessionState:
    """What its creator hid is hidden for good (TS-1); what is not said stays."""
    if hidden is UNSET:
        return state
    visibility = msgspec.structs.replace(state.visibility, inherited_base_filter=hidden)
    return msgspec.structs.replace(state, visibility=visibility)


def _new(request: CreateSessionRequest, *, session_id: str, now: int) -> SessionState:
    transcript = Transcript()
    if request.system_prompt:
        transcript.set_system_prompt(request.system_prompt)
    deferred = DeferredTurnState()
    if request.initial_turn == "defer":
        deferred = _armed(request, transcript, arm(deferred), now)
    return SessionState(
        session_id=session_id,
        created_at=now,
        updated_at=now,
        metadata=_metadata(request, None),
        build=_build(request, SessionBuildState()),
        transcript=transcript,
        labels=dict(request.labels),
        deferred=deferred,
    )


def _resumed(
    document: Session, request: CreateSessionRequest, *, session_id: str, now: int
) -> SessionState:
    metadata = _metadata(request, SESSION_METADATA.read(document.metadata))
    known = msgspec.structs.replace(
        document, metadata=SESSION_METADATA.write(document.metadata, metadata)
    )
    state = state_of(known)
    if state.archived:
        raise SessionNotFound(session_id=document.id)
    _insist_on_what_lives(state, request)
    transcript = state.transcript
    deferred = _without_inline_images(state.deferred, transcript)
    untold = DEFERRED_TURN.read(document.metadata) is None
    if request.initial_turn == "defer" and untold and _is_template(transcript):
        deferred = _armed(request, transcript, arm(deferred), now)
    if request.system_prompt is not None and request.system_prompt != transcript.system_prompt:
        if not allows_build_overrides(deferred):
            raise SessionUnsupported(
                what="the first turn of this session was started: its system prompt stays; "
                "resume it without one, or create a new session",
                session_id=session_id,
            )
        transcript.set_system_prompt(request.system_prompt)
    return msgspec.structs.replace(
        state,
        session_id=session_id,
        build=_build(request, state.build),
        labels=dict(request.labels) if request.labels else state.labels,
        deferred=deferred,
        events_until=0,
    )


def _insist_on_what_lives(state: SessionState, request: CreateSessionRequest) -> None:
    """A session that had tools does not go on without them: its model knows of them.

    Nor without its hooks: what they guard would pass.
    """
    given = {tool.definition.name for tool in request.build.external_tools}
    lacking = [d.name for d in state.build.recoverable_tool_defs if d.name not in given]
    if lacking:
        raise SessionUnsupported(
            what=f"session {state.session_id} has tools that this program did not provide: "
            f"{', '.join(lacking)}; give them to resume_session as external_tools",
            session_id=state.session_id,
        )
    hooks = {hook.id for hook in request.build.hooks}
    missing = [name for name in state.build.hook_ids if name not in hooks]
    if missing:
        raise SessionUnsupported(
            what=f"session {state.session_id} has hooks that this program did not provide: "
            f"{', '.join(missing)}; give them to resume_session as hooks",
            session_id=state.session_id,
        )


def _is_template(transcript: Transcript) -> bool:
    """Whether nothing was said yet, except by the System message."""
    return len(transcript) == (0 if transcript.system_prompt is None else 1)


def _armed(
    request: CreateSessionRequest, transcript: Transcript, armed: DeferredTurnState, now: int
) -> DeferredTurnState:
    """A deferred create arms the first turn, and stages its prompt if it says so (DEF-1)."""
    if request.deferred_prompt_policy == "discard":
        return armed
    return stage_initial_prompt(armed, transcript.keep_images(request.prompt), now=now)


def _without_inline_images(
    deferred: DeferredTurnState, transcript: Transcript
) -> DeferredTurnState:
    """What waits in a document of elsewhere may hold images; ours are kept beside it (BLB-3)."""
    prompt, replace = deferred.pending_initial_prompt, msgspec.structs.replace
    if prompt is not UNSET:
        prompt = replace(prompt, prompt=transcript.keep_images(prompt.prompt))
    staged = tuple(
        replace(
            one,
            results=tuple(
                replace(result, content=transcript.keep_images(result.content))
                for result in one.results
            ),
        )
        for one in deferred.pending_tool_results
    )
    return replace(deferred, pending_initial_prompt=prompt, pending_tool_results=staged)


def _metadata(request: CreateSessionRequest, stored: SessionMetadata | None) -> SessionMetadata:
    options = request.build
    known = stored or SessionMetadata(
        model=request.model, max_tokens=request.max_tokens, provider=infer_provider(request.model)
    )
    provider = options.provider
    if provider is UNSET:
        same = known.model == request.model
        provider = known.provider if same else infer_provider(request.model)
    if known.model != request.model:  # another one is not to be found on that server (REC-2)
        known = msgspec.structs.replace(known, self_hosted_server_id=UNSET)
    params = options.provider_params
    said = {
        "self_hosted_server_id": options.self_hosted_server_id,
        "provider_params": params if params is UNSET else dict(params),
        "keep_alive": options.keep_alive,
        "peer_meta": options.peer_meta,
        "realm_id": options.realm_id,
        "comms_name": UNSET if options.comms_name is None else options.comms_name,
        "structured_output_retries": options.structured_output_retries,
    }
    return msgspec.structs.replace(
        known,
        model=request.model,
        max_tokens=request.max_tokens,
        provider=provider,
        **{name: value for name, value in said.items() if value is not UNSET},
    )


def _build(request: CreateSessionRequest, known: SessionBuildState) -> SessionBuildState:
    options = request.build
    said = {
        "system_prompt": UNSET if request.system_prompt is None else request.system_prompt,
        "max_turns": options.max_turns,
        "budget_limits": options.budget_limits,
        "session_budget": options.session_budget,
        "call_timeout_override": options.call_timeout_override,
        "output_schema": options.output_schema,
        "compaction": options.compaction,
        "fallbacks": options.fallbacks,
        "mob_tool_authority_context": options.mob_tool_authority_context,
    }
    return msgspec.structs.replace(
        known,
        recoverable_tool_defs=tuple(tool.definition for tool in options.external_tools),
        hook_ids=tuple(hook.id for hook in options.hooks),
        **{name: value for name, value in said.items() if value is not UNSET},
    )
