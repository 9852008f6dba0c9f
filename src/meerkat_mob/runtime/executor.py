"""From a batch of inputs to one run of a session.

Each input becomes a message of its own: what precedes the last one is its preface. So each
message keeps its sender, and a notice never blurs a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

from meerkat_mob.core.inputs import ApplyOutput, Input, InputKind, PeerInput, PromptInput, kind_of
from meerkat_mob.core.messages import RenderClass, RenderMetadata, UserMessage
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.errors import SessionNotFound, SessionNotRunning
from meerkat_mob.runtime.inbox import Batch
from meerkat_mob.sessions.service import SessionService


class Executor(Protocol):
    """What the run loop drives."""

    async def apply(self, run_id: str, batch: Batch) -> ApplyOutput:
        """One run over the batch. Raises what the run failed with."""
        ...

    async def cancel_current_run(self) -> None:
        """Stops the run that is going on, if one is."""
        ...


_RENDER: Final[Mapping[InputKind, RenderClass]] = {
    "prompt": "user_prompt",
    "peer_message": "peer_message",
    "peer_request": "peer_request",
}


def message_of(item: Input) -> UserMessage:
    """The message an input becomes."""
    match item:
        case PromptInput(content=content, render_metadata=meta):
            return UserMessage(content=content, render_metadata=meta)
        case PeerInput(body=body):
            meta = RenderMetadata(render_class=_RENDER[kind_of(item)])
            return UserMessage(content=body, render_metadata=meta)


class SessionExecutor:
    """Runs batches on one session of a service."""

    def __init__(self, service: SessionService, session_id: str) -> None:
        self._service, self._session_id = service, session_id

    async def apply(self, run_id: str, batch: Batch) -> ApplyOutput:
        """See ``Executor.apply``."""
        *preface, last = (message_of(r.item) for r in batch.records)
        request = StartTurnRequest(
            prompt=last.content,
            preface=tuple(preface),
            render_metadata=last.render_metadata,
            execution_kind="content_turn",
        )
        return await self._service.apply_runtime_turn(
            self._session_id, run_id, request, batch.boundary, batch.ids
        )

    async def cancel_current_run(self) -> None:
        """See ``Executor.cancel_current_run``."""
        with suppress(SessionNotRunning, SessionNotFound):
            await self._service.interrupt(self._session_id)
