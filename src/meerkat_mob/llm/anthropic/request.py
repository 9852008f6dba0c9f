"""What we ask, in the words of Anthropic's Messages. No I/O in here.

The server caches the beginning of a conversation, up to its last block. So what only this run is
told stands behind the prompt, in a block of its own: the prompt's stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import SystemMessage
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.anthropic.conversation import wire_messages
from meerkat_mob.llm.anthropic.form import is_sayable, lowered, unsupported
from meerkat_mob.llm.anthropic.thinking import (
    budget_of,
    goes_on_without_thought,
    thinks,
    thinks_too_long,
)
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.responses.strict_form import with_root
from meerkat_mob.llm.spelling import spelt_name
from meerkat_mob.llm.written import with_items, write

OURS: Final = frozenset({"messages", "stream", "system"})
"""What ``provider_params`` may not set: the client depends on them."""
WEB_SEARCH: Final = "web_search"
"""The one of ``provider_params`` that is a switch: true, or a table of the tool's options."""
BETAS: Final = "betas"
"""The one of them that is a header: what of the server's is to be tried out, as a list."""
_BETA: Final = re.compile(r"[A-Za-z0-9._-]+")
NO_TOOL: Final[Mapping[str, Json]] = {
    "name": "no_tool",
    "description": "There is nothing to call now.",
    "input_schema": {"type": "object"},
}
"""Goes along where a conversation has calls in it, and its model none to make: one is wanted."""
_USE: Final = b'"type":"tool_use"'
"""A call, as it is written; inside a text its quotation marks would be escaped."""
CACHED: Final[Mapping[str, Json]] = {"type": "ephemeral"}

_UNIONS: Final = ("oneOf", "anyOf", "allOf")
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?=-|$)")
_FORMS: Final = (4, 5)
_FORMS_OF_OPUS: Final = (4, 1)
"""Since when models hold themselves to a schema."""
_NO_TEMPERATURE: Final = (4, 7)
"""Since when they refuse to be told how creative they are."""


def request_body(request: LlmRequest) -> bytes:
    """The JSON body of one call, ``provider_params`` merged in (RFC 7396).

    Raises ``LlmFailed`` when the params take what is not theirs or leave no room to answer.
    """
    given = request.provider_params
    if taken := OURS & given.keys():
        raise _refused(
            f"provider_params sets {', '.join(map(repr, sorted(taken)))}",
            "leave it out: every call streams, and the conversation comes from the session",
        )
    body: dict[str, Json] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "stream": True,
        "cache_control": CACHED,
    }
    if system := _system(request):
        body["system"] = system
    if request.temperature is not None and takes_temperature(request):
        body["temperature"] = request.temperature
    search = [*_web_search(given.get(WEB_SEARCH))]
    if search and any(tool.name == WEB_SEARCH for tool in request.tools):
        raise _refused(
            f"there is a tool called {WEB_SEARCH}, and provider_params has the server search, too",
            f"rename the tool, or leave {WEB_SEARCH} out of provider_params",
        )
    tools = [*map(_tool, request.tools), *search]
    if tools:
        body["tools"] = tools
    if request.output is not None and has_forms(request.model):
        form = _form(request.output)
        if form is not None:  # else it is asked for in words, and held to here
            body["output_config"] = {"format": form}
    params = {key: value for key, value in given.items() if key not in {WEB_SEARCH, BETAS}}
    merged = merge_patch(body, params)
    if goes_on_without_thought(merged, request.messages):
        merged["thinking"] = {"type": "disabled"}
    if thinks_too_long(merged):
        raise _refused(
            f"thinking may take {budget_of(merged)} tokens, and the whole answer "
            f"{merged['max_tokens']}",
            "raise max_tokens above thinking.budget_tokens",
        )
    wire = write(
        request.written,
        request.messages,
        request.blobs,
        ("anthropic", request.model),
        partial(wire_messages, request.messages, request.blobs),
    )
    if "tools" not in merged and _USE in wire:
        merged |= {"tools": [NO_TOOL], "tool_choice": {"type": "none"}}
    return with_items(merged, "messages", wire)


def request_headers(request: LlmRequest) -> Mapping[str, str]:
    """The headers of one call. Raises ``LlmFailed`` for betas that no header can name."""
    betas = request.provider_params.get(BETAS) or ()
    given = betas if isinstance(betas, list | tuple) else (None,)
    names = [one for one in given if isinstance(one, str) and _BETA.fullmatch(one)]
    if len(names) != len(given):
        raise _refused(
            f"{BETAS} is {betas!r}", 'give a list of names, as ["context-1m-2025-08-07"]'
        )
    return {"anthropic-beta": ",".join(names)} if names else {}


def unsaid(request: LlmRequest) -> Iterable[str]:
    """What of the form of the answer the model is not held to."""
    if request.output is None or not has_forms(request.model):
        return ()
    schema = with_root(request.output.schema)
    return unsupported(schema) if is_sayable(schema) else ("all of it at #",)


def has_forms(model: str) -> bool:
    """Whether a model can be held to a schema, as far as its name tells: those from 4.5 on."""
    version = _version(model)
    first = _FORMS_OF_OPUS if "opus" in model.lower() else _FORMS
    return version is not None and version >= first


def takes_temperature(request: LlmRequest) -> bool:
    """Not one that thinks, nor any from 4.7 on."""
    version = _version(request.model)
    is_older = version is None or version < _NO_TEMPERATURE
    return is_older and not thinks(request.provider_params)


def _version(model: str) -> tuple[int, int] | None:
    """What a name tells of its version; None when it tells none."""
    found = _VERSION.match(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else None


def _system(request: LlmRequest) -> Json:
    """The prompt, and apart from it what is for this run alone."""
    first = request.messages[0] if request.messages else None
    prompt = first.content if isinstance(first, SystemMessage) else ""
    notes = request.system_context
    if not (prompt.strip() and notes.strip()):
        return request.system_prompt if request.system_prompt.strip() else ""
    return [
        {"type": "text", "text": prompt, "cache_control": CACHED},
        {"type": "text", "text": notes},
    ]


def _tool(tool: ToolDef) -> Json:
    schema = _without_union({"type": "object", **tool.input_schema})
    name = spelt_name(tool.name)
    return {"name": name, "description": tool.description, "input_schema": schema}


def _without_union(schema: dict[str, Json]) -> dict[str, Json]:
    """The server takes no union at the top, so all that its branches name may be given.

    Which go together is not told: who carries the call out knows.
    """
    lists = [schema.pop(word) for word in _UNIONS if word in schema]
    branches = [one for many in lists if isinstance(many, list | tuple) for one in many]
    named = [one.get("properties") for one in (*branches, schema) if isinstance(one, Mapping)]
    if lists:
        tables = [table for table in named if isinstance(table, Mapping)]
        schema["properties"] = {key: one for table in tables for key, one in table.items()}
    return schema


def _web_search(switch: Json) -> Iterable[Json]:
    match switch:
        case None | False:
            return ()
        case True:
            return ({"type": "web_search_20250305", "name": WEB_SEARCH},)
        case Mapping():
            return ({"type": "web_search_20250305", "name": WEB_SEARCH, **switch},)
        case _:
            raise _refused(f"{WEB_SEARCH} is {switch!r}", "give true, or a table of its options")


def _form(output: OutputSchema) -> Json:
    schema = with_root(output.schema)
    return {"type": "json_schema", "schema": lowered(schema)} if is_sayable(schema) else None


def _refused(detail: str, hint: str) -> LlmFailed:
    return LlmFailed(provider="anthropic", reason="provider_error", detail=detail, hint=hint)
