"""Tools: what the model sees of one, and what its call becomes.

A tool's failure is a result with ``is_error`` and a JSON body ``{"error": code, "message": …}``;
it never raises into the run (spec sessions 4.4, step 19).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import ToolUseData
from meerkat_mob.errors import CallbackPending

ToolErrorCode: TypeAlias = Literal[
    "tool_not_found",
    "tool_unavailable",
    "invalid_arguments",
    "execution_failed",
    "timeout",
    "access_denied",
    "tool_error",
    "callback_pending",
    "cancelled",
    "outcome_unknown",
    "not_started",
    "budget_exhausted",
]


class ToolProvenance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a tool comes from."""

    kind: str
    source_id: str


class ToolDef(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool as the model sees it; ``input_schema`` is a JSON Schema of an object."""

    name: str
    description: str
    input_schema: dict[str, Json]
    provenance: ToolProvenance | UnsetType = UNSET


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call to be dispatched; ``args`` are normalised JSON bytes."""

    id: str
    name: str
    args: msgspec.Raw


class ToolOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a tool gave back. ``timed_out_ms`` is the time it had, if it was cut off for it."""

    content: Content
    is_error: bool = False
    timed_out_ms: int | None = None


Execute: TypeAlias = Callable[[ToolCall], Awaitable[ToolOutcome]]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that can be called: its definition and the coroutine function behind it.

    A ``deferred`` one may stay hidden until its model asks for it (TS-6).
    """

    definition: ToolDef
    execute: Execute
    deferred: bool = False


def tool_error(code: ToolErrorCode, message: str, **more: Json) -> ToolOutcome:
    """The one form in which a failed call reaches the model."""
    body: dict[str, Json] = {"error": code, "message": message, **more}
    return ToolOutcome(content=msgspec.json.encode(body).decode(), is_error=True)


def tool_value(value: Json) -> ToolOutcome:
    """A JSON value as a result."""
    return ToolOutcome(content=msgspec.json.encode(value).decode())


def callback_tool(definition: ToolDef) -> Tool:
    """A tool that the embedding program runs, after the run and in its own time.

    A call ends the run as pending; whoever has the result stages it, and a later run goes on.
    """

    async def leave(call: ToolCall) -> ToolOutcome:
        raise callback_pending(call)

    return Tool(definition=definition, execute=leave)


def callback_pending(call: ToolCall | ToolUseData) -> CallbackPending:
    """What a tool raises to leave one call to the embedding program."""
    arguments = bytes(call.args).decode()
    return CallbackPending(tool_name=call.name, tool_use_id=call.id, arguments=arguments)
