"""The tools with which a model finds and loads the tools that it is not shown (TS-2, TS-6).

A team with two hundred tools would pay for each of them in every call. A tool marked as deferred
is named only when it is searched for, and shown from the turn after it was loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.core.typed_tools import typed_tool

MOST: Final = 50
"""Tools that one search tells of."""


class SearchCatalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``tool_catalog_search``."""

    query: Annotated[
        str, msgspec.Meta(description="Words of a name or a description; empty finds all.")
    ] = ""


class LoadTools(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``tool_catalog_load``."""

    names: Annotated[
        tuple[str, ...], msgspec.Meta(description="Names, as the search gave them.", min_length=1)
    ]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What is hidden, what is shown, and whether more is on its way."""

    hidden: Mapping[str, Tool]
    shown: tuple[str, ...]
    pending: tuple[str, ...]


def control_tools(shelf: Callable[[], Shelf], context: RunContext) -> tuple[Tool, ...]:
    """The two tools over what is hidden now. No filter hides them."""

    async def search(args: SearchCatalog) -> Json:
        now, words = shelf(), args.query.casefold().split()
        found = [_told(tool) for tool in now.hidden.values() if _has(tool, words)]
        return {"tools": found[:MOST], "more": max(len(found) - MOST, 0), **_pending(now)}

    async def load(args: LoadTools) -> Json:
        now, names = shelf(), tuple(dict.fromkeys(args.names))
        new = context.load_tools([name for name in names if name in now.hidden])
        loaded = [name for name in names if name in new]
        refused: Json = [{"name": n, "reason": _refusal(n, now)} for n in names if n not in new]
        return {"loaded": [*loaded], "available_from": "your next turn", "refused": refused}

    origin = ToolProvenance(kind="builtin", source_id="tool_catalog")
    return (
        typed_tool(
            "tool_catalog_search",
            "Find tools that exist but are not shown to you yet. Load them before you call them.",
            SearchCatalog,
            search,
            provenance=origin,
        ),
        typed_tool(
            "tool_catalog_load",
            "Load tools that tool_catalog_search found. You can call them from your next turn on.",
            LoadTools,
            load,
            provenance=origin,
        ),
    )


def _refusal(name: str, now: Shelf) -> str:
    if name in now.hidden:
        return "already_requested"
    if name in now.shown:
        return "not_deferred_eligible"
    return "temporarily_unavailable" if now.pending else "unknown_key"


def _told(tool: Tool) -> Json:
    return {"name": tool.definition.name, "description": tool.definition.description}


def _pending(now: Shelf) -> dict[str, Json]:
    return {"still_connecting": [*now.pending]} if now.pending else {}


def _has(tool: Tool, words: list[str]) -> bool:
    text = f"{tool.definition.name} {tool.definition.description}".casefold()
    return all(word in text for word in words)
