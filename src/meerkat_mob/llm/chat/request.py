"""What we ask, in the words of OpenAI's chat completions. No I/O in here."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.provider_names import infer_provider
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.chat.conversation import Message, wire_messages
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.spelling import spelt_name
from meerkat_mob.llm.written import encoded, with_items, write

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
    # OpenAI's own models have renamed the limit; the servers of others know the old name.
    is_openai_s = infer_provider(request.model) == "openai"
    body: dict[str, Json] = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if is_openai_s else "max_tokens": request.max_tokens,
    }
    if request.temperature is not None and not request.model.lower().startswith("gpt-5"):
        body["temperature"] = request.temperature
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.output is not None:
        body["response_format"] = _form(request.output)
    wire = write(
        request.written,
        request.messages,
        request.blobs,
        ("chat", request.model),
        partial(wire_messages, request.messages, request.blobs, short_ids=is_openai_s),
    )
    if prompt := request.system_prompt:
        first = encoded([Message(role="system", content=prompt)])
        wire = b",".join((first, wire)) if wire else first
    return with_items(merge_patch(body, request.provider_params), "messages", wire)


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
            "name": spelt_name(tool.name),
            "description": tool.description,
            "parameters": tool.input_schema,
        },
    }
