"""All that lasts of a session, as one value.

The rule: a state is what was committed, never what is about to be. Whoever wants to change it
makes a new one, and that becomes the session's when its commit has happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

import msgspec
from msgspec import UNSET

from meerkat_mob.core.build_state import SessionBuildState
from meerkat_mob.core.compaction import Compacted
from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.provider_names import Provider
from meerkat_mob.core.reserved import (
    ARCHIVED,
    BUILD_STATE,
    COMPACTION_CADENCE,
    DEFERRED_TURN,
    EXTERNAL_FILTER_KEY,
    INHERITED_FILTER_KEY,
    LABELS,
    SESSION_METADATA,
    SYSTEM_CONTEXT,
    TOOL_VISIBILITY,
    CompactionCadence,
    read_tool_visibility,
)
from meerkat_mob.core.session import Session
from meerkat_mob.core.system_context import SystemContextState
from meerkat_mob.core.tool_visibility import ToolVisibilityState
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import MissingSessionMetadata

_TYPED: Final = frozenset(
    {
        SESSION_METADATA.key,
        BUILD_STATE.key,
        DEFERRED_TURN.key,
        SYSTEM_CONTEXT.key,
        TOOL_VISIBILITY.key,
        LABELS.key,
        ARCHIVED.key,
        COMPACTION_CADENCE.key,
        EXTERNAL_FILTER_KEY,
        INHERITED_FILTER_KEY,
    }
)
"""The reserved keys that are fields here; all others pass through ``extra``."""


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """A session as of its last commit; times in ms UTC.

    Nobody pushes into ``transcript``. ``events_until`` is a number no event of the session has
    reached yet, so that numbers grow over restarts. ``answered_by`` names who answered last.
    """

    session_id: str
    created_at: int
    updated_at: int
    metadata: SessionMetadata
    transcript: Transcript
    usage: Usage = Usage()
    build: SessionBuildState = SessionBuildState()
    labels: Mapping[str, str] = {}
    deferred: DeferredTurnState = DeferredTurnState()
    context: SystemContextState = SystemContextState()
    visibility: ToolVisibilityState = ToolVisibilityState()
    compacted: Compacted = Compacted()
    extra: Mapping[str, Json] = {}
    answered_by: str = "other"
    events_until: int = 0
    archived: bool = False


def document_of(state: SessionState) -> Session:
    """The whole session as one document, with everything a cold reader needs (EPH-22)."""
    metadata: dict[str, Json] = SESSION_METADATA.write(dict(state.extra), state.metadata)
    if state.build != SessionBuildState():
        metadata = BUILD_STATE.write(metadata, state.build)
    if state.labels:
        metadata = LABELS.write(metadata, dict(state.labels))
    if state.deferred != DeferredTurnState():
        metadata = DEFERRED_TURN.write(metadata, state.deferred)
    if state.context != SystemContextState():
        metadata = SYSTEM_CONTEXT.write(metadata, state.context)
    if state.visibility != ToolVisibilityState():
        metadata = TOOL_VISIBILITY.write(metadata, state.visibility)
    if state.compacted != Compacted():
        metadata = COMPACTION_CADENCE.write(metadata, _cadence(state))
    if state.archived:
        metadata = ARCHIVED.write(metadata, state.archived)
    return Session(
        id=state.session_id,
        history=state.transcript.fork(),
        created_at=state.created_at,
        updated_at=state.updated_at,
        metadata=metadata,
        usage=state.usage,
    )


def state_of(document: Session) -> SessionState:
    """What a document says, as a state. What does not parse is as if it were absent (SES-8).

    Raises ``MissingSessionMetadata`` when nothing tells which model answers (REC-1).
    """
    said = document.metadata
    metadata = SESSION_METADATA.read(said)
    if metadata is None:
        raise MissingSessionMetadata(session_id=document.id)
    return SessionState(
        session_id=document.id,
        created_at=document.created_at,
        updated_at=document.updated_at,
        metadata=metadata,
        transcript=document.history.fork(),
        usage=document.usage,
        build=BUILD_STATE.read(said) or SessionBuildState(),
        labels=LABELS.read(said) or {},
        deferred=DEFERRED_TURN.read(said) or DeferredTurnState(),
        context=SYSTEM_CONTEXT.read(said) or SystemContextState(),
        visibility=read_tool_visibility(said),
        compacted=_compacted(COMPACTION_CADENCE.read(said), document.history.answer_count),
        extra={key: value for key, value in said.items() if key not in _TYPED},
        archived=ARCHIVED.read(said) or False,
    )


def _cadence(state: SessionState) -> CompactionCadence:
    """As the document says it: boundaries over the whole life of the session (CMP-6)."""
    compacted = state.compacted
    return CompactionCadence(
        session_boundary_index=compacted.answers + state.transcript.answer_count,
        last_compaction_boundary_index=compacted.at,
        discarded_tool_calls=compacted.tool_calls or UNSET,
    )


def _compacted(cadence: CompactionCadence | None, answers: int) -> Compacted:
    """Of a session that says nothing, the answers that are there are all there were (CMP-6)."""
    if cadence is None:
        return Compacted()
    calls = cadence.discarded_tool_calls
    return Compacted(
        answers=max(cadence.session_boundary_index - answers, 0),
        tool_calls=0 if calls is UNSET else calls,
        at=cadence.last_compaction_boundary_index,
    )


def with_answerer(state: SessionState, answerer: str) -> SessionState:
    """The state of a session that this provider answers for."""
    provider = state.metadata.provider
    if answerer != state.answered_by:
        provider = _provider(answerer) or provider
    return msgspec.structs.replace(
        state,
        answered_by=answerer,
        metadata=msgspec.structs.replace(state.metadata, provider=provider),
    )


def _provider(name: str) -> Provider | None:
    """A client's name as one of the providers there are to be found again."""
    for provider in get_args(Provider):
        if name == provider:
            found: Provider = provider
            return found
    return None
