"""Work for a session: inputs, where they come from, and the receipt of their application.

An input is accepted once and ends once (spec sessions 5.2, 5.8). Sources are data, so a policy
can be a table over them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.events import RunResult
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import HandlingMode, RenderMetadata

Boundary: TypeAlias = Literal["immediate", "run_start", "run_checkpoint"]
InputKind: TypeAlias = Literal["prompt", "peer_message", "peer_request"]


class OperatorSource(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="operator"
):
    """A person, or the program that embeds the mob."""


class PeerSource(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="peer"):
    """Another agent, by its comms name."""

    peer_id: str


class SystemSource(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="system"
):
    """The runtime itself."""


Source: TypeAlias = OperatorSource | PeerSource | SystemSource


class InputHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every input carries; ``timestamp`` in ms UTC.

    A second input with a known ``idempotency_key`` is answered with the first one.
    """

    id: str
    timestamp: int
    source: Source
    idempotency_key: str | UnsetType = UNSET
    correlation_id: str | UnsetType = UNSET


class PromptInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="prompt"
):
    """A prompt. It is always a batch of its own (BAT-1)."""

    header: InputHeader
    content: Content
    handling_mode: HandlingMode = "queue"
    render_metadata: RenderMetadata | UnsetType = UNSET


class MessageConvention(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="convention_type", tag="message"
):
    """A plain message."""


class RequestConvention(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="convention_type", tag="request"
):
    """A request with an intent; lifecycle notices are requests with a reserved one."""

    request_id: str
    intent: str
    params: Json = None


Convention: TypeAlias = MessageConvention | RequestConvention


class PeerInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="peer"
):
    """Something another agent sent; ``body`` is the text as the model will read it."""

    header: InputHeader
    convention: Convention
    body: str
    handling_mode: HandlingMode = "queue"


Input: TypeAlias = PromptInput | PeerInput


def kind_of(item: Input) -> InputKind:
    """The policy table's row for an input."""
    match item:
        case PromptInput():
            return "prompt"
        case PeerInput(convention=RequestConvention()):
            return "peer_request"
        case PeerInput():
            return "peer_message"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Proof that inputs were applied: the transcript's digest and length after the run (RCP-1)."""

    run_id: str
    boundary: Boundary
    contributing_input_ids: tuple[str, ...]
    conversation_digest: str
    message_count: int
    sequence: int = 0


class ApplyOutput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What applying a batch gave: a receipt, and the run's result unless there was none."""

    receipt: Receipt
    result: RunResult | None = None
