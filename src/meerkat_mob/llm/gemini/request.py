"""What we ask, in the words of Gemini's ``streamGenerateContent``. No I/O in here.

The model is named in the URL. Schemas go along as they are: the dialect takes JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.gemini.conversation import contents_of
from meerkat_mob.llm.gemini.form import unsupported
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.spelling import spelt_name
from meerkat_mob.llm.written import with_items, write

OURS: Final = frozenset({"contents", "systemInstruction", "system_instruction"})
"""What ``provider_params`` may not set: the client depends on them."""
SEARCHES: Final = ("google_search", "web_search")
"""Those of ``provider_params`` that are a switch: true, or a table of the tool's options."""


def request_body(request: LlmRequest) -> bytes:
    """The JSON body of one call, ``provider_params`` merged in (RFC 7396).

    Raises ``LlmFailed`` when the params take what is not theirs.
    """
    given = request.provider_params
    if taken := OURS & given.keys():
        raise _refused(
            f"provider_params sets {', '.join(map(repr, sorted(taken)))}",
            "leave it out: the conversation comes from the session",
        )
    body: dict[str, Json] = {"generationConfig": _config(request)}
    if request.system_prompt.strip():
        body["systemInstruction"] = {"parts": [{"text": request.system_prompt}]}
    search = [*_search(given)]
    if request.output is not None:  # older models refuse to search when the answer has a form
        search = []
    if tools := [*_tools(request.tools), *search]:
        body["tools"] = tools
    params = {key: value for key, value in given.items() if key not in SEARCHES}
    merged = merge_patch(body, params)
    wire = write(
        request.written,
        request.messages,
        request.blobs,
        ("gemini", request.model),
        partial(contents_of, request.messages, request.blobs, model=request.model),
    )
    return with_items(merged, "contents", wire)


def unsaid(request: LlmRequest) -> Iterable[str]:
    """What of the form of the answer the model is not held to."""
    return () if request.output is None else unsupported(request.output.schema)


def _config(request: LlmRequest) -> Json:
    config: dict[str, Json] = {"maxOutputTokens": request.max_tokens}
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.output is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.output.schema
    return config


def _tools(tools: Iterable[ToolDef]) -> Iterable[Json]:
    declared: Json = [
        {
            "name": spelt_name(tool.name),
            "description": tool.description,
            "parametersJsonSchema": tool.input_schema,
        }
        for tool in tools
    ]
    return ({"functionDeclarations": declared},) if declared else ()


def _search(params: Mapping[str, Json]) -> Iterable[Json]:
    switch = next((params[name] for name in SEARCHES if name in params), None)
    match switch:
        case None | False:
            return ()
        case True:
            return ({"googleSearch": {}},)
        case Mapping():
            return ({"googleSearch": dict(switch)},)
        case _:
            raise _refused(f"{SEARCHES[0]} is {switch!r}", "give true, or a table of its options")


def _refused(detail: str, hint: str) -> LlmFailed:
    return LlmFailed(provider="gemini", reason="provider_error", detail=detail, hint=hint)
