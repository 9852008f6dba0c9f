"""A live session as a document, with everything a cold reader needs (EPH-22).

The document is the session as of its last commit: a run that goes on does not show in it.
"""

from __future__ import annotations

from typing import get_args

from msgspec import UNSET

from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.provider_names import Provider, infer_provider
from meerkat_mob.core.reserved import DEFERRED_TURN, LABELS, SESSION_METADATA
from meerkat_mob.core.session import Session
from meerkat_mob.sessions.live import LiveSession


def document_of(session: LiveSession) -> Session:
    """The session's transcript, times and usage, and what rebuilds its agent as metadata."""
    view = session.view()
    metadata: dict[str, Json] = SESSION_METADATA.write({}, identity_of(session))
    if session.labels:
        metadata = LABELS.write(metadata, session.labels)
    if session.deferred != DeferredTurnState():
        metadata = DEFERRED_TURN.write(metadata, session.deferred)
    return Session(
        id=session.id,
        history=session.committed.fork(),
        created_at=view.state.created_at,
        updated_at=view.state.updated_at,
        metadata=metadata,
        usage=view.billing.usage,
    )


def identity_of(session: LiveSession) -> SessionMetadata:
    """Model, address and realm of a session, as they are stored."""
    request, options = session.request, session.request.build
    params = options.provider_params
    return SessionMetadata(
        model=request.model,
        max_tokens=request.max_tokens,
        provider=_provider_of(request.model, session.view().state.provider),
        provider_params=UNSET if params is UNSET else dict(params),
        keep_alive=options.keep_alive,
        comms_name=options.comms_name,
        peer_meta=options.peer_meta,
        realm_id=options.realm_id,
    )


def _provider_of(model: str, client: str) -> Provider:
    """Whoever answers now, if it is a provider to be found again; else what the name tells."""
    for provider in get_args(Provider):
        if client == provider:
            found: Provider = provider
            return found
    return infer_provider(model)
