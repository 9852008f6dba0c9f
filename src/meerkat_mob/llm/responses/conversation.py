"""A transcript as the input items of OpenAI's Responses. No I/O in here.

The rule: reasoning is replayed as it came, sealed, in front of what followed it. An item that is
not sealed, or that nothing followed, the server would refuse, and another provider's is never
sent. Notices of the runtime are user messages with their prefix; user messages in a row become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, join, text_of
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    Message,
    OpenAiMeta,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResults,
    ToolUseData,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.llm.spelling import spelt_id, spelt_name
from meerkat_mob.llm.written import Items

# Structs, not dicts: they are made in half the time, and there is one for every block of a history.


class _Text(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="input_text"
):
    text: str


class _Image(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="input_image"
):
    image_url: str
    detail: Literal["auto"] = "auto"


_Shown: TypeAlias = str | list[_Text | _Image]


class _Message(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="message"
):
    role: Literal["user", "assistant", "system"]
    content: _Shown
    phase: str | UnsetType = UNSET


class _Summary(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="summary_text"
):
    text: str


class _Reasoning(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="reasoning"
):
    id: str
    summary: list[_Summary]
    encrypted_content: str


class _Call(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="function_call"
):
    call_id: str
    name: str
    arguments: str


class _Output(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="function_call_output",
):
    """What a call gave. The dialect cannot say that it is an error: the text of one does."""

    call_id: str
    output: _Shown


InputItem: TypeAlias = _Message | _Reasoning | _Call | _Output


def input_items(messages: Sequence[Message], blobs: Mapping[str, Blob], start: int = 0) -> Items:
    """All but a System message at the front, with the images put back.

    The items of a longer conversation begin with those of a shorter one, up to its last answer.
    """
    items: list[InputItem] = []
    before = (0, 0)
    said: list[Content] = []  # user messages in a row
    for place, message in enumerate(islice(messages, start, None), start):
        if isinstance(message, UserMessage):
            said.append(message.content)
            continue
        if isinstance(message, SystemNotice):
            said.append(text_of_message(message))
            continue
        if said:
            items.append(_user(said, blobs))
            said.clear()
        if isinstance(message, ToolResults):
            for result in message.results:
                output = _shown(result.content, blobs)
                items.append(_Output(call_id=spelt_id(result.tool_use_id), output=output))
        elif isinstance(message, AssistantMessage | AssistantFlat):
            if items:
                before = (place, len(items))
            items += _answer(message)
        elif place:
            items.append(_system(message))
    if said:
        items.append(_user(said, blobs))
    return Items(items=items, before=before)


def _answer(message: AssistantMessage | AssistantFlat) -> Sequence[InputItem]:
    if isinstance(message, AssistantFlat):
        told = [_Message(role="assistant", content=message.content)] if message.content else []
        return (*told, *map(_call, tool_uses(message)))
    items: list[InputItem] = []
    thoughts: list[TextData] = []  # they wait for something that follows them
    for block in message.blocks:
        if isinstance(block, Reasoning):
            thoughts.append(block.data)
            continue
        if isinstance(block, AssistantText):
            _name_phase(items, block.data)
            text = _without_gap(items, block.data.text)
            if not text:
                continue
            item: InputItem = _Message(role="assistant", content=text)
        else:
            item = _call(block.data)
        if thoughts:
            items.extend(_reasoning(thoughts))
            thoughts.clear()
        items.append(item)
    return items


def _name_phase(items: list[InputItem], data: TextData) -> None:
    """What stands behind a message may say which phase of the answer that was."""
    last = items[-1] if items else None
    if isinstance(data.meta, OpenAiMeta) and isinstance(last, _Message):
        items[-1] = msgspec.structs.replace(last, phase=data.meta.phase)


def _without_gap(items: list[InputItem], text: str) -> str:
    """The blank line between two messages is for those who read along; it was not said."""
    last = items[-1] if items else None
    begun = isinstance(last, _Message) and last.phase is not UNSET
    return text.removeprefix("\n\n") if begun else text


def _reasoning(thoughts: Iterable[TextData]) -> Iterator[_Reasoning]:
    """The sealed items among them; each part of an item's summary is a thought of its own."""
    item_id, summary = "", list[_Summary]()
    for thought in thoughts:
        meta = thought.meta
        if not isinstance(meta, OpenAiMeta):
            continue
        if meta.id != item_id:
            item_id, summary = meta.id, []
        if thought.text:
            summary.append(_Summary(text=thought.text))
        if meta.encrypted_content is not UNSET:
            sealed = meta.encrypted_content
            yield _Reasoning(id=item_id, summary=summary, encrypted_content=sealed)
            summary = []


def _call(use: ToolUseData) -> _Call:
    name, args = spelt_name(use.name), str(use.args, "utf-8")
    return _Call(call_id=spelt_id(use.id), name=name, arguments=args)


def _system(message: SystemMessage) -> _Message:
    return _Message(role="system", content=message.content)


def _user(said: Sequence[Content], blobs: Mapping[str, Blob]) -> _Message:
    content = said[0] if len(said) == 1 else join(said)
    return _Message(role="user", content=_shown(content, blobs))


def _shown(content: Content, blobs: Mapping[str, Blob]) -> _Shown:
    """Text, or parts where images are among it. A video is told of in words."""
    if isinstance(content, str):
        return content
    blocks = with_inline_images(content, blobs)
    if isinstance(blocks, str) or not any(isinstance(block, ImageBlock) for block in blocks):
        return text_of(blocks)
    parts: list[_Text | _Image] = []
    for block in blocks:
        match block:
            case ImageBlock(media_type=kind, data=str(data)):
                parts.append(_Image(image_url=f"data:{kind};base64,{data}"))
            case TextBlock(text=text):
                parts.append(_Text(text=text))
            case _:
                parts.append(_Text(text=text_of((block,))))
    return parts
