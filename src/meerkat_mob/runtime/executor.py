"""From a batch of inputs to one run of a session.

Each input becomes a message of its own: what precedes the last one is its preface. So each
message keeps its sender, its class and its instructions, and a notice never blurs a prompt. This
departs from BAT-6, which makes one message of a batch, and of BAT-7 it leaves one thing to merge:
whether the run only goes on from what is pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import message_heading
from meerkat_mob.core.content import Content, ContentBlock, TextBlock
from meerkat_mob.core.inputs import (
    ApplyOutput,
    ContinuationInput,
    ExternalEventInput,
    ExternalSource,
    FlowStepInput,
    Input,
    InputKind,
    MessageConvention,
    OperationInput,
    PeerInput,
    PeerSource,
    PromptInput,
    kind_of,
)
from meerkat_mob.core.messages import RenderClass, RenderMetadata, UserMessage
from meerkat_mob.core.requests import StartTurnRequest, with_instructions
from meerkat_mob.errors import SessionNotFound, SessionNotRunning
from meerkat_mob.runtime.inbox import Batch
from meerkat_mob.sessions import RunInbox, SessionService


class Executor(Protocol):
    """What the run loop drives."""

    async def apply(self, run_id: str, batch: Batch, inbox: RunInbox) -> ApplyOutput:
        """One run over the batch, telling ``inbox`` what is kept. Raises what it failed with."""
        ...

    async def cancel_current_run(self) -> None:
        """Stops the run that is going on, if one is."""
        ...


# -- an input as the model reads it ------------------------------------------------------------

_RENDER: Final[Mapping[InputKind, RenderClass]] = {
    "peer_message": "peer_message",
    "peer_request": "peer_request",
    "peer_response_progress": "peer_response",
    "peer_response_terminal": "peer_response",
    "flow_step": "flow_step",
    "external_event": "external_event",
}


def message_of(item: Input) -> UserMessage | None:
    """The message an input becomes (BAT-5); a continuation and an operation say nothing."""
    match item:
        case PromptInput():
            content = with_instructions(item.content, item.additional_instructions)
            return UserMessage(content=content, render_metadata=item.render_metadata)
        case PeerInput():
            return _shown(item, _peer_content(item))
        case FlowStepInput():
            content = with_instructions(item.instructions, item.additional_instructions)
            return _shown(item, content, item.render_metadata)
        case ExternalEventInput():
            return _shown(item, item.blocks or _event_text(item), item.render_metadata)
        case ContinuationInput() | OperationInput():
            return None


def messages_of(items: Iterable[Input]) -> tuple[UserMessage, ...]:
    """The messages of several inputs, in their order."""
    return tuple([m for m in map(message_of, items) if m is not None])


def _shown(item: Input, content: Content, said: RenderMetadata | UnsetType = UNSET) -> UserMessage:
    meta = RenderMetadata(render_class=_RENDER[kind_of(item)]) if said is UNSET else said
    return UserMessage(content=content, render_metadata=meta)


def _peer_content(item: PeerInput) -> Content:
    """The rendered text; with blocks, who speaks or that text, and then the blocks.

    The blocks of a message have its text inside, so only its header goes in front.
    """
    blocks: tuple[ContentBlock, ...] = item.blocks or ()
    if not blocks:
        return item.body
    source, first = item.header.source, blocks[0]
    if isinstance(item.convention, MessageConvention) and isinstance(source, PeerSource):
        return (TextBlock(text=message_heading(source.peer_id)), *blocks)
    if not item.body or first == TextBlock(text=item.body):
        return blocks
    return (TextBlock(text=item.body), *blocks)


def _event_text(item: ExternalEventInput) -> str:
    source = item.header.source
    name = source.source_name if isinstance(source, ExternalSource) else ""
    header, body = f"[EVENT via {name or item.event_type}]", _event_body(item)
    return f"{header} {body}" if body else header


def _event_body(item: ExternalEventInput) -> str:
    """What an event says: its text, or all of its payload; nothing of it is left out."""
    match item.payload:
        case None:
            return ""
        case str(text):
            return text
        case {"body": str(text), **rest} if not rest:
            return text
        case payload:
            return msgspec.json.encode(payload).decode()


# -- a batch as a run --------------------------------------------------------------------------


def turn_request_of(items: Iterable[Input]) -> StartTurnRequest:
    """The run of a batch: its last message is the prompt, what comes before is in front of it.

    A batch of continuations only goes on from what the transcript waits for (BAT-7).
    """
    messages = messages_of(items)
    if not messages:
        return StartTurnRequest(execution_kind="resume_pending")
    *preface, last = messages
    return StartTurnRequest(
        prompt=last.content,
        preface=tuple(preface),
        render_metadata=last.render_metadata,
        execution_kind="content_turn",
    )


class SessionExecutor:
    """Runs batches on one session of a service."""

    def __init__(self, service: SessionService, session_id: str) -> None:
        self._service, self._session_id = service, session_id

    async def apply(self, run_id: str, batch: Batch, inbox: RunInbox) -> ApplyOutput:
        """See ``Executor.apply``. What an earlier run noted is not said again."""
        request = (
            StartTurnRequest(execution_kind="resume_pending")
            if batch.resumes
            else turn_request_of(record.item for record in batch.records)
        )
        return await self._service.apply_runtime_turn(
            self._session_id, run_id, request, batch.boundary, batch.ids, inbox=inbox
        )

    async def cancel_current_run(self) -> None:
        """See ``Executor.cancel_current_run``."""
        with suppress(SessionNotRunning, SessionNotFound):
            await self._service.interrupt(self._session_id)
