"""Tools from a typed function: the schema, the decoding and the faults come from one struct."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar, cast

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.strict import insist
from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, ToolProvenance, tool_value

ArgsT = TypeVar("ArgsT", bound=msgspec.Struct)


def typed_tool(
    name: str,
    description: str,
    args: type[ArgsT],
    run: Callable[[ArgsT], Awaitable[Json]],
    *,
    provenance: ToolProvenance | None = None,
) -> Tool:
    """A tool whose arguments are the struct ``args`` and whose result is JSON.

    A call that does not fit ``args`` is an ``invalid_arguments`` result.
    """

    async def execute(call: ToolCall) -> ToolOutcome:
        return tool_value(await run(arguments_of(args, call)))

    definition = ToolDef(
        name=name,
        description=description,
        input_schema=shared_schema_of(args),
        provenance=msgspec.UNSET if provenance is None else provenance,
    )
    return Tool(definition=definition, execute=execute)


def arguments_of(args: type[ArgsT], call: ToolCall) -> ArgsT:
    """The arguments of a call, as a struct.

    Raises ``InvalidParams`` with every fault, its place and the nearest known key; from inside a
    tool the tool set makes an ``invalid_arguments`` result of it.
    """
    given = msgspec.json.decode(call.args)
    return insist(args, given, path=call.name, hint="correct the call and make it again")


@cache
def shared_schema_of(args: type[msgspec.Struct]) -> dict[str, Json]:
    """The same, made once for all tools of a kind that every agent has; nobody changes it."""
    return schema_of(args)


def schema_of(args: type[msgspec.Struct]) -> dict[str, Json]:
    """The JSON Schema of a struct, without references: models and servers cope best with that."""
    schemas, components = msgspec.json.schema_components((args,), ref_template="{name}")
    inlined = _inline(cast("Json", schemas[0]), cast("dict[str, Json]", components))
    schema = cast("dict[str, Json]", inlined)
    for about_the_struct in ("title", "description"):
        schema.pop(about_the_struct, None)
    return schema


def _inline(node: Json, components: dict[str, Json]) -> Json:
    if isinstance(node, dict):
        said = {k: _inline(v, components) for k, v in node.items() if k != "$ref"}
        if isinstance(name := node.get("$ref"), str):  # what is said here beats what is said there
            whole = cast("dict[str, Json]", _inline(components[name], components))
            return {**whole, **said}
        return said
    if isinstance(node, list):
        return [_inline(v, components) for v in node]
    return node
