"""A request in the words of the web's Prompt API. No I/O in here.

The API takes a system prompt, what was said before, and a text, and holds an answer to a schema. It
has no tools that one could rely on: they are described in the system prompt, and the answer is
held to a form with room for calls (``answering`` reads it). The browsers' own way, of which the
proposal speaks, is in no browser yet, and would need another one than this where it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from meerkat_mob.core import messages as core
from meerkat_mob.core.content import text_of
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import text_of_message, tool_uses
from meerkat_mob.core.provider_names import BUILT_IN
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.merge_patch import merge_patch
from meerkat_mob.llm.written import GO_ON

OURS: Final = frozenset({"initialPrompts", "monitor", "signal", "tools"})
"""What ``provider_params`` may not set: the conversation is the session's, and so are the tools."""

TOOLS: Final = """\
You have tools. Always answer with one JSON object and nothing else:
{"say": "what you say, if anything", "calls": [{"name": "a tool", "arguments": {}}]}
Whom you called answers before you go on. When you need no tool, calls is empty, and say is your
answer. The tools, each with the JSON schema of its arguments:"""


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message, as the API takes it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call: what was said before, and now; the form of the answer; the caller's own options."""

    before: tuple[Said, ...]
    now: str
    form: JsonObject | None
    options: Mapping[str, Json]


def asked(request: LlmRequest) -> Asked:
    """The call for a request. Raises ``LlmFailed`` when its params take what is not theirs."""
    taken = OURS & request.provider_params.keys()
    if taken:
        raise LlmFailed(
            provider=BUILT_IN,
            reason="provider_error",
            detail=f"provider_params sets {', '.join(map(repr, sorted(taken)))}",
            hint="leave it out: the conversation and the tools come from the session",
        )
    said = list(_said(request.messages, in_form=bool(request.tools)))
    now = said.pop().content if said and said[-1].role == "user" else GO_ON
    prompt = "\n\n".join(part for part in (request.system_prompt, _offer(request.tools)) if part)
    system = (Said(role="system", content=prompt),) if prompt else ()
    return Asked(
        before=(*system, *said),
        now=now,
        form=_form(request),
        options=merge_patch({}, request.provider_params),
    )


def _form(request: LlmRequest) -> JsonObject | None:
    if request.tools:  # an answer in a form of the team's own is asked for without tools
        return _calling(request.tools)
    return None if request.output is None else request.output.schema


def _offer(tools: Sequence[ToolDef]) -> str:
    if not tools:
        return ""
    told = (f"- {t.name}: {t.description}\n  {_json(t.input_schema)}" for t in tools)
    return "\n".join((TOOLS, *told))


def _calling(tools: Sequence[ToolDef]) -> JsonObject:
    """The form of an answer with tools. What it says comes first: it is shown while it comes."""
    calls = [_object({"name": {"enum": [t.name]}, "arguments": _arguments(t)}) for t in tools]
    items: Json = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return _object({"say": {"type": "string"}, "calls": {"type": "array", "items": items}})


def _object(properties: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _arguments(tool: ToolDef) -> Json:
    """A schema with references in it would point elsewhere, where it stands inside another one."""
    schema = tool.input_schema
    return {"type": "object"} if '"$ref"' in _json(schema) else schema


def _said(messages: Sequence[core.Message], *, in_form: bool) -> Iterator[Said]:
    """All but the System message at the front; what users said in a row is one message."""
    heard: list[str] = []
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        match message:
            case core.AssistantMessage() | core.AssistantFlat():
                if heard:
                    yield Said(role="user", content="\n\n".join(heard))
                heard = []
                names.update({use.id: use.name for use in tool_uses(message)})
                yield Said(role="assistant", content=_answered(message, in_form=in_form))
            case core.ToolResults(results=results):
                heard.extend(_told(names.get(r.tool_use_id, "a tool"), r) for r in results)
            case core.SystemMessage() if place == 0:  # it is in the prompt
                pass
            case _:
                heard.append(text_of_message(message))
    if heard:
        yield Said(role="user", content="\n\n".join(heard))


def _told(name: str, result: core.ToolResult) -> str:
    how = "failed" if result.is_error else "answered"
    return f"[{name} {how}]\n{text_of(result.content)}"


def _answered(message: core.AssistantMessage | core.AssistantFlat, *, in_form: bool) -> str:
    """An earlier answer: in the form that the next one is to have, or in words."""
    text = text_of_message(message)
    uses = list(tool_uses(message))
    if in_form:
        calls = [{"name": use.name, "arguments": use.args} for use in uses]
        return _json({"say": text, "calls": calls})
    return "\n".join((*([text] if text else ()), *(f"[called {use.name}]" for use in uses)))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
