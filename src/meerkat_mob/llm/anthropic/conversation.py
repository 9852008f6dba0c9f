"""A transcript as the messages of Anthropic's dialect. No I/O in here.

Roles alternate: whatever others said between two answers is one user message, the results of calls
in front. Reasoning is replayed as it came, with its signature; another provider's is never sent.
Nothing empty is sent, for it would be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock, text_of
from meerkat_mob.core.messages import (
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
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

SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Images that can be sent; others are told of in words."""
_FAILED: Final = "[failed]"
"""What an error says that says nothing: the server wants words."""
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")


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


Block: TypeAlias = Text | Image | Thinking | Redacted | Compaction | Use | Result


class WireMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What one side said."""

    role: Literal["user", "assistant"]
    content: list[Block]


def wire_messages(messages: Sequence[Message], blobs: Mapping[str, Blob]) -> list[WireMessage]:
    """All but a System message at the front, with the images put back."""
    wire: list[WireMessage] = []
    results: list[Block] = []
    said: list[Block] = []
    for place, message in enumerate(messages):
        match message:
            case AssistantMessage() | AssistantFlat():
                answer = [*_answer(message)]
                if answer and (results or said):
                    wire.append(WireMessage(role="user", content=[*results, *said]))
                    results, said = [], []
                _add(wire, answer)
            case ToolResults():
                results += [_result(result, blobs) for result in message.results]
            case UserMessage():
                said += _shown(message.content, blobs)
            case _ if place:
                said += _texts(text_of_message(message))
            case _:  # it is the prompt
                pass
    if results or said:
        wire.append(WireMessage(role="user", content=[*results, *said]))
    return wire


def _add(wire: list[WireMessage], answer: list[Block]) -> None:
    """Two answers in a row are one."""
    if wire and wire[-1].role == "assistant":
        wire[-1].content.extend(answer)
    elif answer:
        wire.append(WireMessage(role="assistant", content=answer))


def _answer(message: AssistantMessage | AssistantFlat) -> Iterator[Block]:
    if isinstance(message, AssistantMessage):
        for block in message.blocks:
            yield from _block(block)
        return
    yield from _texts(message.content)
    yield from map(_use, tool_uses(message))


def _block(block: AssistantBlock) -> Iterable[Block]:
    match block:
        case Reasoning(data=data):
            return _thought(data)
        case AssistantText(data=data):
            return _texts(data.text)
        case ToolUse(data=use):
            return (_use(use),)


def _thought(data: TextData) -> Iterable[Block]:
    match data.meta:
        case AnthropicMeta(signature=signature):
            return (Thinking(thinking=data.text, signature=signature),)
        case AnthropicRedactedMeta(data=sealed):
            return (Redacted(data=sealed),)
        case AnthropicCompactionMeta(content=content):
            return (Compaction(content=content),)
        case _:
            return ()


def _use(use: ToolUseData) -> Use:
    return Use(id=_id(use.id), name=use.name, input=use.args)


def _id(name: str) -> str:
    """The id of a call as this dialect writes ids; other providers have others."""
    return _STRANGE.sub("_", name)


def _result(result: ToolResult, blobs: Mapping[str, Blob]) -> Result:
    content, call = result.content, _id(result.tool_use_id)
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
