"""What we ask, in the words of OpenAI's chat completions. No I/O in here.

Reasoning is never replayed: the dialect has no place for it. Notices of the runtime are user
messages with their prefix. User messages in a row become one, with blank lines between: many
chat templates of local models refuse two turns of the same role. A tool's result is text here, so
its images follow all results as a user message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.blobs import with_inline_images
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, has_media, join, text_of
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    SystemMessage,
    SystemNotice,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.provider_names import infer_provider
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch

OURS: Final = frozenset({"messages", "stream"})
"""What ``provider_params`` may not set: the client depends on them."""


def request_body(request: LlmRequest) -> bytes:
    """The JSON body of one call, ``provider_params`` merged in (RFC 7396).

    Raises ``LlmFailed`` when the params take what is not theirs.
    """
    taken = OURS & request.provider_params.keys()
    if taken:
        raise LlmFailed(
            provider="openai",
            reason="provider_error",
            detail=f"provider_params sets {', '.join(map(repr, sorted(taken)))}",
            hint="leave it out: every call streams, and messages come from the session",
        )
    body: dict[str, Json] = {
        "model": request.model,
        "messages": wire_messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        _limit_name(request.model): request.max_tokens,
    }
    if request.temperature is not None and not request.model.lower().startswith("gpt-5"):
        body["temperature"] = request.temperature
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.output is not None:
        body["response_format"] = _form(request.output)
    return msgspec.json.encode(merge_patch(body, request.provider_params))


def _limit_name(model: str) -> str:
    """OpenAI's own models have renamed the limit; the servers of others know the old name."""
    return "max_completion_tokens" if infer_provider(model) == "openai" else "max_tokens"


def _form(output: OutputSchema) -> Json:
    """Servers that cannot hold a model to it pass it over; a param of null leaves it out."""
    given = output.schema.get("title") if output.name is UNSET else output.name
    name = re.sub(r"[^A-Za-z0-9_-]", "_", given if isinstance(given, str) else "")[:64]
    schema: Json = {"name": name or "answer", "schema": output.schema, "strict": output.strict}
    return {"type": "json_schema", "json_schema": schema}


def _tool(tool: ToolDef) -> Json:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.input_schema,
        },
    }


def wire_messages(request: LlmRequest) -> list[Json]:
    """The transcript as the dialect writes it, with this run's notes and the images put back."""
    prompt, blobs = request.system_prompt, request.blobs
    wire: list[Json] = [{"role": "system", "content": prompt}] if prompt else []
    said: list[Content] = []  # user messages in a row
    for place, message in enumerate(request.messages):
        match message:
            case UserMessage(content=content):
                said.append(with_inline_images(content, blobs))
                continue
            case SystemNotice():
                said.append(text_of_message(message))
                continue
            case _:
                wire.extend(_user(said))
                said.clear()
        match message:
            case SystemMessage(content=text) if place:
                wire.append({"role": "system", "content": text})
            case AssistantMessage() | AssistantFlat():
                wire.append(_assistant(message))
            case ToolResults(results=results):
                for result in results:
                    shown = with_inline_images(result.content, blobs)
                    wire.append(_result(result.tool_use_id, shown))
                    said.extend(_shown_apart(result.tool_use_id, shown))
            case _:  # the first message is in the prompt
                pass
    return [*wire, *_user(said)]


def _result(call_id: str, content: Content) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": text_of(content)}


def _shown_apart(call_id: str, content: Content) -> Iterable[Content]:
    """The images of a result, with a word on where they belong."""
    if isinstance(content, str):
        return ()
    images = tuple(block for block in content if isinstance(block, ImageBlock))
    return ((TextBlock(text=f"[images in the result of {call_id}]"), *images),) if images else ()


def _user(said: Sequence[Content]) -> Iterable[Json]:
    if not said:
        return ()
    content = join(said)
    return (
        {"role": "user", "content": _parts(content) if has_media(content) else text_of(content)},
    )


def _parts(content: Content) -> Json:
    if isinstance(content, str):
        return content
    parts: list[Json] = []
    for block in content:
        match block:
            case ImageBlock(media_type=kind, data=str(data)):
                url = f"data:{kind};base64,{data}"
                parts.append({"type": "image_url", "image_url": {"url": url}})
            case TextBlock(text=text):
                parts.append({"type": "text", "text": text})
            case _:  # a video
                parts.append({"type": "text", "text": text_of((block,))})
    return parts


def _assistant(message: AssistantMessage | AssistantFlat) -> Json:
    text = text_of_message(message)
    calls: list[Json] = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": bytes(use.args).decode()},
        }
        for use in tool_uses(message)
    ]
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}
