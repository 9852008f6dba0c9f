"""The transcript's messages and their wire form (spec sessions 1.8).

A message is encoded once, with its tag first and then its fields in order; those bytes are what
is stored and hashed. Decoders are tolerant: unknown fields are ignored, a lone text may be a
string or a block, and old notices inside user messages become system notices.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import normalise_json
from meerkat_mob.core.content import Content, normal, text_of
from meerkat_mob.core.foreign import without_nulls
from meerkat_mob.core.safe_json import refuse_deep
from meerkat_mob.core.usage import Usage

StopReason: TypeAlias = Literal[
    "end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filter", "cancelled"
]
HandlingMode: TypeAlias = Literal["queue", "steer"]
NoticeKind: TypeAlias = Literal[
    "generic", "mcp_pending", "background_job", "tool_scope", "tool_scope_warning"
]
RenderClass: TypeAlias = Literal[
    "user_prompt",
    "peer_message",
    "peer_request",
    "peer_response",
    "external_event",
    "flow_step",
    "continuation",
    "system_notice",
    "tool_scope_notice",
    "ops_progress",
]
Salience: TypeAlias = Literal["background", "normal", "important", "urgent"]


class RenderMetadata(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"render_class": "class"}
):
    """What a user message is, for those who show it."""

    render_class: RenderClass
    salience: Salience | UnsetType = UNSET


# -- provider metadata: replayed byte for byte, and only to the provider it came from ----------


class AnthropicMeta(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="provider", tag="anthropic"
):
    """Signature of a thinking block."""

    signature: str


class AnthropicRedactedMeta(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="provider",
    tag="anthropic_redacted",
):
    """An encrypted thinking block."""

    data: str


class AnthropicCompactionMeta(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="provider",
    tag="anthropic_compaction",
):
    """A server-side compaction block; all that it says goes back as it came.

    ``tool_changes`` is JSON, as text.
    """

    content: str
    encrypted_content: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    tool_changes: str | UnsetType = UNSET


class AnthropicServerMeta(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="provider",
    tag="anthropic_server",
):
    """What a tool that the server runs itself was asked, or gave.

    ``block`` is all of it as it came: JSON, as text, so that nothing ever writes it anew.
    """

    block: str


class GeminiMeta(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="provider",
    tag="gemini",
    rename={"thought_signature": "thoughtSignature"},
):
    """Signature of a thought, kept on its part."""

    thought_signature: str


class OpenAiMeta(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="provider", tag="open_ai"
):
    """Identity of a reasoning item, or of a message that is of a ``phase`` of the answer."""

    id: str
    encrypted_content: str | UnsetType = UNSET
    phase: str | UnsetType = UNSET


ProviderMeta: TypeAlias = (
    AnthropicMeta
    | AnthropicRedactedMeta
    | AnthropicCompactionMeta
    | AnthropicServerMeta
    | GeminiMeta
    | OpenAiMeta
)


# -- assistant blocks: adjacent tagging, {"block_type": …, "data": {…}} ------------------------


class TextData(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Text of the assistant, or of its reasoning."""

    text: str
    meta: ProviderMeta | UnsetType = UNSET


class ToolUseData(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call; ``args`` are normalised JSON bytes, never re-encoded."""

    id: str
    name: str
    args: msgspec.Raw
    meta: ProviderMeta | UnsetType = UNSET


class AssistantText(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="block_type", tag="text"
):
    """What the assistant said."""

    data: TextData


class Reasoning(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="block_type", tag="reasoning"
):
    """What it thought, as far as the provider shows it."""

    data: TextData


class ToolUse(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="block_type", tag="tool_use"
):
    """A tool it called."""

    data: ToolUseData


AssistantBlock: TypeAlias = AssistantText | Reasoning | ToolUse


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of one call; ``is_error`` is always encoded."""

    tool_use_id: str
    content: Content
    is_error: bool = False


class LegacyToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call in the old flat form."""

    id: str
    name: str
    args: msgspec.Raw


# -- messages ----------------------------------------------------------------------------------


class SystemMessage(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="system"
):
    """The system prompt, at index 0 when there is one."""

    content: str


class SystemNotice(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="system_notice"
):
    """A note of the runtime to the model."""

    kind: NoticeKind
    body: str


class UserMessage(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="user"
):
    """Input to the model, whoever sent it."""

    content: Content
    render_metadata: RenderMetadata | UnsetType = UNSET


class AssistantFlat(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="assistant"
):
    """The old flat assistant message. Read and kept, never written anew."""

    content: str
    tool_calls: tuple[LegacyToolCall, ...] = ()
    stop_reason: StopReason = "end_turn"
    usage: Usage = Usage()


class AssistantMessage(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="block_assistant"
):
    """One answer of the model, as blocks in the order they started."""

    blocks: tuple[AssistantBlock, ...]
    stop_reason: StopReason


class ToolResults(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="role", tag="tool_results"
):
    """The results of all calls of the message before, in call order."""

    results: tuple[ToolResult, ...]


Message: TypeAlias = (
    SystemMessage | SystemNotice | UserMessage | AssistantFlat | AssistantMessage | ToolResults
)

NOTICE_PREFIX: Final[dict[NoticeKind, str]] = {
    "generic": "[SYSTEM NOTICE]",
    "mcp_pending": "[SYSTEM NOTICE][MCP_PENDING]",
    "background_job": "[SYSTEM NOTICE][BG_JOB]",
    "tool_scope": "[SYSTEM NOTICE][TOOL_SCOPE]",
    "tool_scope_warning": "[SYSTEM NOTICE][TOOL_SCOPE][WARNING]",
}
"""How a notice reads to a provider, in front of a space and the body."""

_NOTICE_CLASS: Final[dict[NoticeKind, RenderClass]] = {
    "generic": "system_notice",
    "mcp_pending": "system_notice",
    "background_job": "ops_progress",
    "tool_scope": "tool_scope_notice",
    "tool_scope_warning": "tool_scope_notice",
}

_PREFIXES: Final = sorted(NOTICE_PREFIX.items(), key=lambda item: -len(item[1]))
"""The longest first: the shortest begins all the others."""

_encoder = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """The stored bytes of a message."""
    return _encoder.encode(stored_form(message))


def encode_stored(message: Message) -> bytes:
    """The same, of a message that is in its stored form already."""
    return _encoder.encode(message)


def decode_message(raw: bytes | msgspec.Raw) -> Message:
    """A message from its stored bytes, or from an older form of them.

    Tool arguments stay as they are in ``raw``. Raises ``ValueError`` for what is no message.
    """
    refuse_deep(raw)
    try:
        message = _decoder.decode(raw)
    except msgspec.ValidationError:
        message = _decode_foreign(raw)
    except msgspec.DecodeError as fault:
        raise ValueError(f"not a message: {fault}") from fault
    return _modern(stored_form(message))


def import_message(raw: bytes | msgspec.Raw) -> Message:
    """A message that somebody else wrote: as ``decode_message``, and with normalised arguments."""
    message = decode_message(raw)
    match message:
        case AssistantMessage(blocks=blocks):
            return msgspec.structs.replace(
                message, blocks=tuple(_with_normal_arguments(block) for block in blocks)
            )
        case AssistantFlat(tool_calls=calls):
            return msgspec.structs.replace(
                message,
                tool_calls=tuple(
                    msgspec.structs.replace(call, args=normalise_json(call.args)) for call in calls
                ),
            )
        case _:
            return message


def _with_normal_arguments(block: AssistantBlock) -> AssistantBlock:
    if not isinstance(block, ToolUse):
        return block
    args = normalise_json(block.data.args)
    return ToolUse(data=msgspec.structs.replace(block.data, args=args))


def _decode_foreign(raw: bytes | msgspec.Raw) -> Message:
    """One more try for an encoder that writes absent fields as null."""
    try:
        return _decoder.decode(_encoder.encode(without_nulls(msgspec.json.decode(raw))))
    except msgspec.DecodeError as fault:
        raise ValueError(f"not a message: {fault}") from fault


def stored_form(message: Message) -> Message:
    """The same message with every lone text block as a plain string."""
    match message:
        case UserMessage(content=content) if normal(content) is not content:
            return msgspec.structs.replace(message, content=normal(content))
        case ToolResults(results=results) if any(
            normal(result.content) is not result.content for result in results
        ):
            return ToolResults(
                results=tuple(
                    msgspec.structs.replace(result, content=normal(result.content))
                    for result in results
                )
            )
        case _:
            return message


def _modern(message: Message) -> Message:
    """Reads an old notice, kept in a user message, as what it is; text alone is never enough."""
    if not isinstance(message, UserMessage) or not isinstance(message.content, str):
        return message
    if message.render_metadata is UNSET:
        return message
    for kind, prefix in _PREFIXES:
        if message.content.startswith(prefix + " "):
            if message.render_metadata.render_class != _NOTICE_CLASS[kind]:
                return message
            return SystemNotice(kind=kind, body=message.content[len(prefix) + 1 :])
    return message


def text_of_message(message: Message) -> str:
    """The text a reader would see; tool traffic and reasoning have none."""
    match message:
        case AssistantMessage():
            return "".join([b.data.text for b in message.blocks if isinstance(b, AssistantText)])
        case UserMessage():
            return text_of(message.content)
        case SystemMessage() | AssistantFlat():
            return message.content
        case SystemNotice():
            return f"{NOTICE_PREFIX[message.kind]} {message.body}"
        case ToolResults():
            return ""


def tool_uses(message: Message) -> tuple[ToolUseData, ...]:
    """The calls of a message, in order."""
    match message:
        case AssistantMessage():
            return tuple([b.data for b in message.blocks if isinstance(b, ToolUse)])
        case AssistantFlat(tool_calls=calls):
            return tuple(ToolUseData(id=c.id, name=c.name, args=c.args) for c in calls)
        case _:
            return ()
