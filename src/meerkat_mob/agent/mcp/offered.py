"""Which of a server's tools are offered to a model, and as what.

One tool that a provider refuses would fail every call of every member that has it, so it is left
out here. Names stay as the server gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mcp import types

from meerkat_mob.core.tools import ToolDef, ToolProvenance

_USABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that every provider takes."""


def offered(
    tools: Iterable[types.Tool], *, server: str
) -> tuple[tuple[ToolDef, ...], tuple[str, ...]]:
    """The tools that can be offered, and the names of those that cannot."""
    origin = ToolProvenance(kind="mcp", source_id=server)
    kept: dict[str, ToolDef] = {}
    left_out: list[str] = []
    for tool in tools:
        if tool.name in kept or not _USABLE.fullmatch(tool.name):
            left_out.append(tool.name)
            continue
        kept[tool.name] = ToolDef(
            name=tool.name,
            description=tool.description or tool.title or "",
            input_schema={"type": "object", **tool.input_schema},
            provenance=origin,
        )
    return tuple(kept.values()), tuple(left_out)
