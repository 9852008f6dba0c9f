"""A transcript as the contents of Gemini's dialect. No I/O in here.

Roles alternate, the results of calls in front of what was said. A signature stays on the part that
it came with; another provider's reasoning is never sent. A result names its tool, for the dialect
knows calls by it. The model never has the last word: it would have nothing to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import (
    Content,
    ContentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
    text_of,
)
from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    GeminiMeta,
    Message,
    ProviderMeta,
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
from meerkat_mob.llm.spelling import spelt_name
from meerkat_mob.llm.written import GO_ON, Items

UNSIGNED: Final = "skip_thought_signature_validator"
"""In the place of a signature: the call was made by another model, which has none."""
_WANTS_SIGNATURES: Final = re.compile(r"gemini-(?:[3-9]|\d\d)(?=[.-]|$)")
"""Models that refuse an answer whose first call is not signed."""


class Data(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """An image or a video."""

    mime_type: str
    data: str


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call."""

    id: str
    name: str
    args: msgspec.Raw


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a call gave, or why it failed."""

    output: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of a call."""

    id: str
    name: str
    response: Told


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """One part of what somebody said; one of its fields says which kind."""

    text: str | UnsetType = UNSET
    thought: bool = False
    inline_data: Data | UnsetType = UNSET
    function_call: Call | UnsetType = UNSET
    function_response: Response | UnsetType = UNSET
    thought_signature: str | UnsetType = UNSET


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one side said."""

    role: Literal["user", "model"]
    parts: list[Part]


def contents_of(
    messages: Sequence[Message], blobs: Mapping[str, Blob], start: int = 0, *, model: str
) -> Items:
    """All but a System message at the front, with the images put back, as ``model`` wants them."""
    wants_signatures = _WANTS_SIGNATURES.match(model.lower()) is not None
    found: list[Said] = []
    before = (0, 0)
    tools: dict[str, str] = {}  # what the last answers called, by the ids of their calls
    results: list[Part] = []
    said: list[Part] = []
    for place, message in enumerate(islice(messages, start, None), start):
        match message:
            case AssistantMessage() | AssistantFlat():
                answer = [*_answer(message)]
                if not answer:
                    continue
                if wants_signatures:
                    _sign(answer)
                if results or said:
                    found.append(Said(role="user", parts=[*results, *said]))
                    results, said = [], []
                if found and found[-1].role == "model":  # two answers in a row are one
                    found[-1].parts.extend(answer)
                else:
                    if found:
                        before = (place, len(found))
                    found.append(Said(role="model", parts=answer))
                    tools.clear()
                calls = [p.function_call for p in answer if p.function_call is not UNSET]
                tools.update((call.id, call.name) for call in calls)
            case ToolResults():
                for result in message.results:
                    given, shown = _result(result, tools, blobs)
                    results.append(given)
                    said += shown
            case UserMessage():
                said += _shown(message.content, blobs)
            case _ if place:
                said += _texts(text_of_message(message))
            case _:  # it is the prompt
                pass
    if not (results or said):
        said = [Part(text=GO_ON)]
    found.append(Said(role="user", parts=[*results, *said]))
    return Items(items=found, before=before)


def _sign(answer: list[Part]) -> None:
    """Says of the calls of an answer that they were made elsewhere, unless they are signed."""
    calls = [place for place, part in enumerate(answer) if part.function_call is not UNSET]
    if calls and all(answer[place].thought_signature is UNSET for place in calls):
        first = answer[calls[0]]
        answer[calls[0]] = msgspec.structs.replace(first, thought_signature=UNSIGNED)


def _answer(message: AssistantMessage | AssistantFlat) -> Iterator[Part]:
    if isinstance(message, AssistantMessage):
        for block in message.blocks:
            yield from _block(block)
        return
    yield from _texts(message.content)
    for use in tool_uses(message):
        yield _call(use)


def _block(block: AssistantBlock) -> Iterable[Part]:
    match block:
        case AssistantText(data=TextData(text=text, meta=GeminiMeta(thought_signature=signature))):
            return (Part(text=text, thought_signature=signature),)
        case AssistantText(data=data):
            return _texts(data.text)
        case ToolUse(data=use):
            return (_call(use),)
        case Reasoning(data=TextData(text=text, meta=GeminiMeta(thought_signature=signature))):
            return (Part(text=text, thought=True, thought_signature=signature),)
        case Reasoning():
            return ()


def _call(use: ToolUseData) -> Part:
    call = Call(id=use.id, name=spelt_name(use.name), args=use.args)
    return Part(function_call=call, thought_signature=_signature(use.meta))


def _signature(meta: ProviderMeta | UnsetType) -> str | UnsetType:
    return meta.thought_signature if isinstance(meta, GeminiMeta) else UNSET


def _result(
    result: ToolResult, tools: Mapping[str, str], blobs: Mapping[str, Blob]
) -> tuple[Part, list[Part]]:
    """A result is text here; its images stand behind all results, with a word on where they belong.

    A call that is not there any more has no name: the summary that stands for it has none either.
    """
    call, content = result.tool_use_id, result.content
    text = text_of(content)
    told = Told(error=text) if result.is_error else Told(output=text)
    response = Part(
        function_response=Response(id=call, name=tools.get(call, "tool"), response=told)
    )
    if isinstance(content, str):
        return response, []
    images = [part for part in _shown(content, blobs) if part.inline_data is not UNSET]
    return response, [Part(text=f"[images in the result of {call}]"), *images] if images else []


def _shown(content: Content, blobs: Mapping[str, Blob]) -> list[Part]:
    if isinstance(content, str):
        return [*_texts(content)]
    blocks = with_inline_images(content, blobs)
    return [] if isinstance(blocks, str) else [part for block in blocks for part in _part(block)]


def _part(block: ContentBlock) -> Iterable[Part]:
    match block:
        case (
            ImageBlock(media_type=kind, data=str(data))
            | VideoBlock(media_type=kind, data=str(data))
        ):
            return (Part(inline_data=Data(mime_type=kind, data=data)),)
        case TextBlock(text=text):
            return _texts(text)
        case _:  # an image that is not there any more, a video that is elsewhere
            return _texts(text_of((block,)))


def _texts(text: str) -> Iterable[Part]:
    return (Part(text=text),) if text.strip() else ()
