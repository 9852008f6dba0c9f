"""A transcript as the messages of chat completions. No I/O in here.

Reasoning is never replayed: the dialect has no place for it. Notices of the runtime are user
messages with their prefix. User messages in a row become one, with blank lines between: many
chat templates of local models refuse two turns of the same role, and take an answer at the end for
one that they are to finish. A tool's result is text here, so its images follow all results as a
user message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core import messages as core
from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, has_media, join, text_of
from meerkat_mob.core.messages import text_of_message, tool_uses
from meerkat_mob.llm.spelling import short_id, spelt_name
from meerkat_mob.llm.written import GO_ON, Items

SHORT: Final = 40
"""Characters that OpenAI itself takes in a call's id. Other servers keep things in theirs."""

# Structs, not dicts: they are made in half the time, and there is one for every message.


class _Text(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="text"):
    text: str


class _Url(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    url: str


class _Image(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="image_url"
):
    image_url: _Url


class _Function(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    name: str
    arguments: str


class _Call(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="function"):
    id: str
    function: _Function


_Shown: TypeAlias = str | list[_Text | _Image]


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What somebody said, or a tool."""

    role: Literal["system", "user", "assistant", "tool"]
    content: _Shown | None
    tool_calls: list[_Call] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


def wire_messages(
    messages: Sequence[core.Message],
    blobs: Mapping[str, Blob],
    start: int = 0,
    *,
    short_ids: bool = False,
) -> Items:
    """All but a System message at the front, with the images put back."""
    wire: list[Message] = []
    before = (0, 0)
    said: list[Content] = []  # user messages in a row
    for place, message in enumerate(islice(messages, start, None), start):
        match message:
            case core.UserMessage(content=content):
                said.append(with_inline_images(content, blobs))
                continue
            case core.SystemNotice():
                said.append(text_of_message(message))
                continue
            case _:
                wire.extend(_user(said))
                said.clear()
        match message:
            case core.AssistantMessage() | core.AssistantFlat():
                if wire:
                    before = (place, len(wire))
                wire.append(_answer(message, short_ids=short_ids))
            case core.ToolResults(results=results):
                for result in results:
                    shown, call = with_inline_images(result.content, blobs), result.tool_use_id
                    call_id = _id(call, short_ids=short_ids)
                    wire.append(Message(role="tool", tool_call_id=call_id, content=text_of(shown)))
                    said.extend(_shown_apart(call, shown))
            case core.SystemMessage(content=text) if place:
                wire.append(Message(role="system", content=text))
            case _:  # the first message is in the prompt
                pass
    if wire and wire[-1].role == "assistant" and not said:
        said = [GO_ON]
    return Items(items=[*wire, *_user(said)], before=before)


def _id(call: str, *, short_ids: bool) -> str:
    return short_id(call, SHORT) if short_ids else call


def _shown_apart(call_id: str, content: Content) -> Iterable[Content]:
    """The images of a result, with a word on where they belong."""
    if isinstance(content, str):
        return ()
    images = tuple(block for block in content if isinstance(block, ImageBlock))
    return ((TextBlock(text=f"[images in the result of {call_id}]"), *images),) if images else ()


def _user(said: Sequence[Content]) -> Iterable[Message]:
    if not said:
        return ()
    content = said[0] if len(said) == 1 else join(said)
    shown = _parts(content) if has_media(content) else text_of(content)
    return (Message(role="user", content=shown),)


def _parts(content: Content) -> _Shown:
    if isinstance(content, str):
        return content
    parts: list[_Text | _Image] = []
    for block in content:
        match block:
            case ImageBlock(media_type=kind, data=str(data)):
                parts.append(_Image(image_url=_Url(url=f"data:{kind};base64,{data}")))
            case TextBlock(text=text):
                parts.append(_Text(text=text))
            case _:  # a video
                parts.append(_Text(text=text_of((block,))))
    return parts


def _answer(message: core.AssistantMessage | core.AssistantFlat, *, short_ids: bool) -> Message:
    text = text_of_message(message)
    calls = [
        _Call(
            id=_id(use.id, short_ids=short_ids),
            function=_Function(name=spelt_name(use.name), arguments=str(use.args, "utf-8")),
        )
        for use in tool_uses(message)
    ]
    if not calls:
        return Message(role="assistant", content=text)
    return Message(role="assistant", content=text or None, tool_calls=calls)
