"""What we ask, in the words of OpenAI's Responses. No I/O in here.

Every call carries the whole conversation, and the server keeps nothing (``store`` is false); so
reasoning has to come back sealed, to be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.responses.conversation import input_items
from meerkat_mob.llm.responses.strict_form import strict_form, unsupported, with_root
from meerkat_mob.llm.spelling import spelt_name
from meerkat_mob.llm.written import with_items, write

OURS: Final = frozenset(
    {"conversation", "input", "instructions", "previous_response_id", "store", "stream"}
)
"""What ``provider_params`` may not set: the client depends on them."""
WEB_SEARCH: Final = "web_search"
"""The one of ``provider_params`` that is a switch: true, or a table of the tool's options."""

_REASONS: Final = re.compile(r"(?:^|[/:])(?!gpt-5-chat)(?:gpt-(?:[5-9]|\d\d)|o\d|codex-)")
"""Names of models that reason: they refuse a temperature, and seal their reasoning when asked.

Others refuse to be asked for it.
"""


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
    merged = merge_patch(body, params)
    wire = write(
        request.written,
        request.messages,
        request.blobs,
        ("responses", request.model),
        partial(input_items, request.messages, request.blobs),
    )
    return with_items(merged, "input", wire)


def _tool(tool: ToolDef) -> Json:
    return {
        "type": "function",
        "name": spelt_name(tool.name),
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
        lowered = strict_form(output.schema)
        if lowered is not None:
            schema, strict = lowered, True
    given = output.schema.get("title") if output.name is UNSET else output.name
    name = re.sub(r"[^A-Za-z0-9_-]", "_", given if isinstance(given, str) else "")[:64]
    return {"type": "json_schema", "name": name or "answer", "schema": schema, "strict": strict}


def unsaid(request: LlmRequest) -> Iterable[str]:
    """What of the form of the answer the model is not held to."""
    output = request.output
    return () if output is None or not output.strict else map(str, unsupported(output.schema))


def _refused(detail: str, hint: str) -> LlmFailed:
    return LlmFailed(provider="openai", reason="provider_error", detail=detail, hint=hint)
