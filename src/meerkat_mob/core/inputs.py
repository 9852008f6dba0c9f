"""Work for a session: inputs, where they come from, and the receipt of their application.

An input is accepted once and ends once (spec sessions 5.2, 5.8). Sources and conventions are data,
so a policy can be a table over them; ``core.input_wire`` reads and writes inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content, ContentBlock
from meerkat_mob.core.events import RunResult
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import HandlingMode, RenderMetadata, ToolUseData

Boundary: TypeAlias = Literal["immediate", "run_start", "run_checkpoint"]
InputKind: TypeAlias = Literal[
    "prompt",
    "peer_message",
    "peer_request",
    "peer_response_progress",
    "peer_response_terminal",
    "flow_step",
    "external_event",
    "continuation",
    "operation",
]
Durability: TypeAlias = Literal["durable", "ephemeral", "derived"]
"""Kept before it is acknowledged; not kept; not kept, because it can be made anew."""

# -- where an input comes from -----------------------------------------------------------------


class OperatorSource(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="operator"
):
    """A person, or the program that embeds the mob."""


class PeerSource(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="peer"):
    """Another agent, by its comms name."""

    peer_id: str
    runtime_id: str | UnsetType = UNSET


class FlowSource(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="flow"):
    """A step of a flow, by its place among the steps."""

    flow_id: str
    step_index: int


class SystemSource(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="system"
):
    """The runtime itself."""


class ExternalSource(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="external"
):
    """Something outside the mob that is no agent."""

    source_name: str


Source: TypeAlias = OperatorSource | PeerSource | FlowSource | SystemSource | ExternalSource


class Visibility(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whom an input may be shown to. What the model is told does not depend on it."""

    transcript_eligible: bool = True
    operator_eligible: bool = True


class InputHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every input carries; ``timestamp`` in ms UTC.

    A second input with a known ``idempotency_key`` is answered with the first one.
    """

    id: str
    timestamp: int
    source: Source
    durability: Durability = "durable"
    visibility: Visibility = Visibility()
    idempotency_key: str | UnsetType = UNSET
    correlation_id: str | UnsetType = UNSET


# -- how a peer's input is meant ---------------------------------------------------------------


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
    params: Json | UnsetType = UNSET


class ResponseProgressConvention(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="convention_type",
    tag="response_progress",
):
    """How far a request of ours is. It never wakes anybody."""

    request_id: str
    phase: Literal["accepted", "in_progress", "partial_result"]


class ResponseTerminalConvention(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="convention_type",
    tag="response_terminal",
):
    """How a request of ours ended."""

    request_id: str
    status: Literal["completed", "failed", "cancelled"]


Convention: TypeAlias = (
    MessageConvention | RequestConvention | ResponseProgressConvention | ResponseTerminalConvention
)

# -- inputs ------------------------------------------------------------------------------------


class PromptInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="prompt"
):
    """A prompt, in the form it came in. In the queue lane it is a batch of its own (BAT-1)."""

    header: InputHeader
    content: Content
    handling_mode: HandlingMode | UnsetType = UNSET
    render_metadata: RenderMetadata | UnsetType = UNSET
    additional_instructions: tuple[str, ...] = ()


class PeerInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="peer"
):
    """Something another agent sent; ``body`` is the text as the model will read it.

    A response in progress takes no handling mode.
    """

    header: InputHeader
    convention: Convention = MessageConvention()
    body: str
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    handling_mode: HandlingMode | UnsetType = UNSET


class FlowStepInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="flow_step"
):
    """What a step of a flow asks of a member."""

    header: InputHeader
    step_id: str
    instructions: Content
    handling_mode: HandlingMode | UnsetType = UNSET
    render_metadata: RenderMetadata | UnsetType = UNSET
    additional_instructions: tuple[str, ...] = ()


class ExternalEventInput(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="input_type",
    tag="external_event",
):
    """News from outside.

    Blocks inside an object of the payload are an older form: they become the field ``blocks``.
    """

    header: InputHeader
    event_type: str
    payload: Json = None
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    handling_mode: HandlingMode = "queue"
    render_metadata: RenderMetadata | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.blocks is not UNSET or not isinstance(self.payload, Mapping):
            return
        if "blocks" not in self.payload:
            return
        try:
            blocks = msgspec.convert(self.payload["blocks"], tuple[ContentBlock, ...])
        except msgspec.ValidationError:  # something else of that name
            return
        rest = {key: value for key, value in self.payload.items() if key != "blocks"}
        msgspec.structs.force_setattr(self, "payload", rest)
        msgspec.structs.force_setattr(self, "blocks", blocks)


class ContinuationInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="continuation"
):
    """Asks the session to go on from what is pending; it says nothing itself."""

    header: InputHeader
    reason: str
    handling_mode: HandlingMode = "queue"
    request_id: str | UnsetType = UNSET


class OperationInput(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="operation"
):
    """News of a background operation. It is consumed when it is accepted; no run sees it."""

    header: InputHeader
    operation_id: str
    event: Json = None


Input: TypeAlias = (
    PromptInput
    | PeerInput
    | FlowStepInput
    | ExternalEventInput
    | ContinuationInput
    | OperationInput
)

_PEER_KINDS: Final[Mapping[type[Convention], InputKind]] = {
    MessageConvention: "peer_message",
    RequestConvention: "peer_request",
    ResponseProgressConvention: "peer_response_progress",
    ResponseTerminalConvention: "peer_response_terminal",
}


def kind_of(item: Input) -> InputKind:
    """The policy table's row for an input."""
    match item:
        case PeerInput(convention=convention):
            return _PEER_KINDS[type(convention)]
        case PromptInput():
            return "prompt"
        case FlowStepInput():
            return "flow_step"
        case ExternalEventInput():
            return "external_event"
        case ContinuationInput():
            return "continuation"
        case OperationInput():
            return "operation"


def mode_of(item: Input) -> HandlingMode | None:
    """The handling mode it names; None when it leaves that to its kind."""
    if isinstance(item, OperationInput) or item.handling_mode is UNSET:
        return None
    return item.handling_mode


# -- what came of inputs -----------------------------------------------------------------------


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Proof that inputs were applied: the transcript's digest and length after the run (RCP-1)."""

    run_id: str
    boundary: Boundary
    contributing_input_ids: tuple[str, ...]
    conversation_digest: str
    message_count: int
    sequence: int = 0


class ApplyOutput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What applying a batch gave: a receipt, and the run's result unless there was none.

    With ``pending`` calls it ended at tools that somebody else runs.
    """

    receipt: Receipt
    result: RunResult | None = None
    pending: tuple[ToolUseData, ...] = ()
