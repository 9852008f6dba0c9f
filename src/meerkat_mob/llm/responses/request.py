"""What we ask, in the words of OpenAI's Responses. No I/O in here.

Every call carries the whole conversation, and the server keeps nothing (``store`` is false). So
reasoning comes back sealed, and its items are replayed as they came, in front of what followed
them; one that is not sealed, or that nothing followed, the server would refuse. Notices of the
runtime are user messages with their prefix, and user messages in a row become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.blobs import Blob, with_inline_images
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, join, text_of
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    OpenAiMeta,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.responses.strict_form import strict_form, unsupported, with_root

OURS: Final = frozenset(
    {"conversation", "input", "instructions", "previous_response_id", "store", "stream"}
)
"""What ``provider_params`` may not set: the client depends on them."""
WEB_SEARCH: Final = "web_search"
"""The one of ``provider_params`` that is a switch: true, or a table of the tool's options."""

_REASONS: Final = re.compile(r"(?:^|[/:])(?:gpt-(?:[5-9]|\d\d)|o\d|codex-)(?!.*-chat)")
"""Names of models that reason: they refuse a temperature, and seal their reasoning when asked."""


def request_body(request: LlmRequest) -> bytes:
    """The JSON body of one call, ``provider_params`` merged in (RFC 7396).

    Raises ``LlmFailed`` when the params take what is not theirs, and for an output schema with
    ``compat`` strict that cannot be said in full.
    """
    taken = OURS & request.provider_params.keys()
    if taken:
        raise _refused(
            f"provider_params sets {', '.join(map(repr, sorted(taken)))}",
            "leave it out: every call streams, nothing is stored, and the conversation comes from "
            "the session",
        )
    body: dict[str, Json] = {
        "model": request.model,
        "input": wire_input(request),
        "stream": True,
        "store": False,
        "max_output_tokens": request.max_tokens,
    }
    if request.system_prompt:
        body["instructions"] = request.system_prompt
    if _REASONS.search(request.model.lower()):
        body["include"] = ["reasoning.encrypted_content"]
    elif request.temperature is not None:
        body["temperature"] = request.temperature
    tools = [*map(_tool, request.tools), *_web_search(request.provider_params.get(WEB_SEARCH))]
    if tools:
        body["tools"] = tools
    if request.output is not None:
        body["text"] = {"format": _form(request.output)}
    params = {key: value for key, value in request.provider_params.items() if key != WEB_SEARCH}
    return msgspec.json.encode(merge_patch(body, params))


def _tool(tool: ToolDef) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": False,  # left out it means true, which most schemas do not bear
    }


def _web_search(switch: Json) -> Iterable[Json]:
    match switch:
        case None | False:
            return ()
        case True:
            return ({"type": WEB_SEARCH},)
        case Mapping():
            return ({"type": WEB_SEARCH, **switch},)
        case _:
            raise _refused(f"{WEB_SEARCH} is {switch!r}", "give true, or a table of its options")


def _form(output: OutputSchema) -> Json:
    """A schema that cannot be held to in full goes along all the same, for the model to read."""
    schema, strict = with_root(output.schema), False
    if output.strict:
        lost = unsupported(output.schema)
        if lost and output.compat == "strict":
            raise _refused(
                f"the strict form of the output schema cannot say {', '.join(map(str, lost))}",
                "leave it out of the schema, or set its compat to lossy",
            )
        lowered = strict_form(output.schema)
        if lowered is not None:
            schema, strict = lowered, True
    given = output.schema.get("title") if output.name is UNSET else output.name
    name = re.sub(r"[^A-Za-z0-9_-]", "_", given if isinstance(given, str) else "")[:64]
    return {"type": "json_schema", "name": name or "answer", "schema": schema, "strict": strict}


def _refused(detail: str, hint: str) -> LlmFailed:
    return LlmFailed(provider="openai", reason="provider_error", detail=detail, hint=hint)


# -- the conversation ---------------------------------------------------------------------------


def wire_input(request: LlmRequest) -> list[Json]:
    """The transcript as the dialect writes it, with the images put back."""
    wire: list[Json] = []
    said: list[Content] = []  # user messages in a row
    for place, message in enumerate(request.messages):
        match message:
            case UserMessage(content=content):
                said.append(with_inline_images(content, request.blobs))
                continue
            case SystemNotice():
                said.append(text_of_message(message))
                continue
            case _:
                _add_user(wire, said)
        match message:
            case AssistantMessage(blocks=blocks):
                _add_assistant(wire, blocks)
            case AssistantFlat(content=text):
                wire.extend([_message("assistant", text)] if text else ())
                wire.extend(map(_call, tool_uses(message)))
            case ToolResults(results=results):
                wire.extend([_result(result, request.blobs) for result in results])
            case SystemMessage(content=text) if place:
                wire.append(_message("system", text))
            case _:  # the first message is in the instructions
                pass
    _add_user(wire, said)
    return wire


def _add_user(wire: list[Json], said: list[Content]) -> None:
    if said:
        wire.append(_message("user", _shown(join(said))))
        said.clear()


def _add_assistant(wire: list[Json], blocks: Sequence[AssistantBlock]) -> None:
    thoughts: list[TextData] = []  # what waits for something that follows it
    for block in blocks:
        match block:
            case Reasoning(data=thought):
                thoughts.append(thought)
                continue
            case AssistantText(data=said) if said.text:
                item = _message("assistant", said.text)
            case ToolUse(data=use):
                item = _call(use)
            case _:
                continue
        if thoughts:
            wire.extend(_reasoning(thoughts))
            thoughts.clear()
        wire.append(item)


def _reasoning(thoughts: Iterable[TextData]) -> Iterable[Json]:
    """The sealed items among them; each part of an item's summary is a thought of its own."""
    parts = [(t.meta, t.text) for t in thoughts if isinstance(t.meta, OpenAiMeta)]
    for item_id, group in groupby(parts, key=lambda part: part[0].id):
        summary: list[Json] = []
        sealed: Json = None
        for meta, text in group:
            if text:
                summary.append({"type": "summary_text", "text": text})
            if meta.encrypted_content is not UNSET:
                sealed = meta.encrypted_content
        if sealed:
            yield {
                "type": "reasoning",
                "id": item_id,
                "summary": summary,
                "encrypted_content": sealed,
            }


def _message(role: str, content: Json) -> Json:
    return {"type": "message", "role": role, "content": content}


def _call(use: ToolUseData) -> Json:
    return {
        "type": "function_call",
        "call_id": use.id,
        "name": use.name,
        "arguments": bytes(use.args).decode(),
    }


def _result(result: ToolResult, blobs: Mapping[str, Blob]) -> Json:
    """Whether it is an error the dialect cannot say: the text of one does."""
    shown = _shown(with_inline_images(result.content, blobs))
    return {"type": "function_call_output", "call_id": result.tool_use_id, "output": shown}


def _shown(content: Content) -> Json:
    """Text, or parts where images are among it. A video is told of in words."""
    if isinstance(content, str):
        return content
    if not any(isinstance(block, ImageBlock) for block in content):
        return text_of(content)
    parts: list[Json] = []
    for block in content:
        match block:
            case ImageBlock(media_type=kind, data=str(data)):
                url = f"data:{kind};base64,{data}"
                parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
            case TextBlock(text=text):
                parts.append({"type": "input_text", "text": text})
            case _:
                parts.append({"type": "input_text", "text": text_of((block,))})
    return parts
