"""A transcript as the messages of Anthropic's dialect. No I/O in here.

Roles alternate: whatever others said between two answers is one user message, the results of calls
in front. Reasoning is replayed as it came, with its signature, and so is what tools of the server's
own were asked and gave; another provider's is never sent. Nothing empty is sent, for it would be
refused, and so would be a conversation in which the model has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock, text_of
from meerkat_mob.core.messages import (
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantBlock,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    Message,
    Reasoning,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.llm.spelling import spelt_id, spelt_name
from meerkat_mob.llm.written import GO_ON, Items

SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Images that can be sent; others are told of in words."""
_FAILED: Final = "[failed]"
"""What an error says that says nothing: the server wants words."""


class Text(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="text"):
    """Text, of anybody."""

    text: str


class Base64(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="base64"):
    """The bytes of an image."""

    media_type: str
    data: str


class Image(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="image"):
    """An image."""

    source: Base64


class Thinking(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="thinking"
):
    """Reasoning, as it came."""

    thinking: str
    signature: str


class Redacted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="redacted_thinking"
):
    """Reasoning that nobody can read."""

    data: str


class Compaction(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="compaction"
):
    """What the server itself made of an older part."""

    content: str
    encrypted_content: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    tool_changes: msgspec.Raw | UnsetType = UNSET


class Use(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="tool_use"):
    """A call."""

    id: str
    name: str
    input: msgspec.Raw


class Result(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="tool_result",
    omit_defaults=True,
):
    """What a call gave."""

    tool_use_id: str
    content: str | tuple[Text | Image, ...] = ""
    is_error: bool = False


Block: TypeAlias = Text | Image | Thinking | Redacted | Compaction | Use | Result | msgspec.Raw
"""A part of what somebody said; a raw one is of a tool that the server runs itself."""


class WireMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What one side said."""

    role: Literal["user", "assistant"]
    content: list[Block]


class _Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which question of its own tools a part of the server's is, or answers."""

    id: str = ""
    tool_use_id: str = ""


_heads: Final = msgspec.json.Decoder(_Head)


def wire_messages(messages: Sequence[Message], blobs: Mapping[str, Blob], start: int = 0) -> Items:
    """All but a System message at the front, with the images put back."""
    wire: list[WireMessage] = []
    before = (0, 0)
    results: list[Block] = []
    said: list[Block] = []
    for place, message in enumerate(islice(messages, start, None), start):
        match message:
            case AssistantMessage() | AssistantFlat():
                answer = [*_answer(message)]
                if not answer:
                    continue
                if results or said:
                    wire.append(WireMessage(role="user", content=[*results, *said]))
                    results, said = [], []
                if wire and wire[-1].role == "assistant":  # two answers in a row are one
                    wire[-1].content.extend(answer)
                    continue
                if wire:
                    before = (place, len(wire))
                wire.append(WireMessage(role="assistant", content=answer))
            case ToolResults():
                results += [_result(result, blobs) for result in message.results]
            case UserMessage():
                said += _shown(message.content, blobs)
            case _ if place:
                said += _texts(text_of_message(message))
            case _:  # it is the prompt
                pass
    if not (results or said or (wire and _is_interrupted(messages[-1]))):
        said = [Text(text=GO_ON)]
    if results or said:
        wire.append(WireMessage(role="user", content=[*results, *said]))
    return Items(items=wire, before=before)


def _is_interrupted(message: Message) -> bool:
    """Whether the server has stopped in the middle of it, to be asked with what is there so far."""
    return isinstance(message, AssistantMessage) and message.stop_reason == "tool_use"


def begins_with_thought(message: AssistantMessage | AssistantFlat) -> bool:
    """Whether an answer begins as one of a model that was told to think."""
    return isinstance(next(_answer(message), None), Thinking | Redacted)


def _answer(message: AssistantMessage | AssistantFlat) -> Iterator[Block]:
    if isinstance(message, AssistantMessage):
        left_out = _left_out(message)
        for block in message.blocks:
            if not left_out or block not in left_out:
                yield from _block(block)
        return
    yield from _texts(message.content)
    yield from map(_use, tool_uses(message))


def _left_out(message: AssistantMessage) -> Sequence[AssistantBlock]:
    """What the server's own tools were asked in vain, because the answer was cut short there.

    The server would refuse it for ever, like what is no part at all. An answer that stopped for
    other tools is not over: it carries these out when it gets the results of those.
    """
    of_server = [
        (block, block.data.meta.block)
        for block in message.blocks
        if isinstance(block, Reasoning) and isinstance(block.data.meta, AnthropicServerMeta)
    ]
    if not of_server:
        return ()
    asked: list[tuple[AssistantBlock, str]] = []
    answered, broken = set[str](), list[AssistantBlock]()
    for block, raw in of_server:
        try:
            head = _heads.decode(raw)
        except msgspec.DecodeError:
            broken.append(block)
        else:
            asked += [(block, head.id)] if head.id else []
            answered.add(head.tool_use_id)
    if message.stop_reason != "tool_use":
        broken += [block for block, name in asked if name not in answered]
    return broken


def _block(block: AssistantBlock) -> Iterable[Block]:
    match block:
        case AssistantText(data=data):
            return _texts(data.text)
        case ToolUse(data=use):
            return (_use(use),)
        case Reasoning(data=data):
            return _thought(data)


def _thought(data: TextData) -> Iterable[Block]:
    match data.meta:
        case AnthropicMeta(signature=signature):
            return (Thinking(thinking=data.text, signature=signature),)
        case AnthropicRedactedMeta(data=sealed):
            return (Redacted(data=sealed),)
        case AnthropicCompactionMeta() as meta:
            changes = meta.tool_changes
            return (
                Compaction(
                    content=meta.content,
                    encrypted_content=meta.encrypted_content,
                    signature=meta.signature,
                    tool_changes=UNSET if changes is UNSET else msgspec.Raw(changes),
                ),
            )
        case AnthropicServerMeta(block=block):
            return (msgspec.Raw(block),)
        case _:
            return ()


def _use(use: ToolUseData) -> Use:
    return Use(id=spelt_id(use.id), name=spelt_name(use.name), input=use.args)


def _result(result: ToolResult, blobs: Mapping[str, Blob]) -> Result:
    content, call = result.content, spelt_id(result.tool_use_id)
    if result.is_error:  # it may hold words alone, and must hold some
        words = text_of(content)
        return Result(tool_use_id=call, content=words if words.strip() else _FAILED, is_error=True)
    told = content if isinstance(content, str) else tuple(_shown(content, blobs))
    return Result(tool_use_id=call, content=told)


def _shown(content: Content, blobs: Mapping[str, Blob]) -> list[Text | Image]:
    if isinstance(content, str):
        return [*_texts(content)]
    blocks = with_inline_images(content, blobs)
    return [] if isinstance(blocks, str) else [part for block in blocks for part in _part(block)]


def _part(block: ContentBlock) -> Iterable[Text | Image]:
    match block:
        case ImageBlock(media_type=kind, data=str(data)) if kind in SHOWN:
            return (Image(source=Base64(media_type=kind, data=data)),)
        case TextBlock(text=text):
            return _texts(text)
        case _:  # a video, or an image of another kind
            return _texts(text_of((block,)))


def _texts(text: str) -> Iterable[Text]:
    return (Text(text=text),) if text.strip() else ()
