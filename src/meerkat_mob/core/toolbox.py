"""Tools that may come and go while agents run.

Whoever holds a toolbox changes it; every agent that was given it sees the change at its next turn
boundary, never in the middle of a turn. A tool that is taken away finishes the calls it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import InvalidParams

SourceStatus: TypeAlias = Literal["pending", "connected", "failed"]
"""A source that is pending may still bring tools."""


class Toolbox:
    """Tools by their names, in the order in which they came."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        """Raises ``InvalidParams`` when two tools have one name."""
        self._tools: dict[str, Tool] = {}
        self._sources: dict[str, SourceStatus] = {}
        self.revision = 0
        """Grows with each change."""
        self.add(*tools)

    def add(self, *tools: Tool) -> None:
        """Adds tools, all or none. Raises ``InvalidParams`` for a name that is there already."""
        wanted = dict(self._tools)
        for tool in tools:
            name = tool.definition.name
            if name in wanted:
                raise InvalidParams(
                    what=f"two tools are named {name!r}",
                    path="tools",
                    hint="rename one of them, or remove the one that is there first",
                )
            wanted[name] = tool
        self._put(wanted)

    def remove(self, *names: str) -> None:
        """Takes tools away, all or none. Raises ``InvalidParams`` for a name that is not there."""
        for name in names:
            if name not in self._tools:
                known = ", ".join(self._tools) or "none"
                raise InvalidParams(
                    what=f"there is no tool {name!r}", path="tools", hint=f"there are: {known}"
                )
        self._put({name: tool for name, tool in self._tools.items() if name not in names})

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What is in it."""
        return tuple(self._tools.values())

    @property
    def sources(self) -> Mapping[str, SourceStatus]:
        """The servers that tools come from, by name, and how each of them is."""
        return dict(self._sources)

    def say(self, source: str, status: SourceStatus | None) -> None:
        """How a source is now; None when it is none any more. Its tools are another matter."""
        if self._sources.get(source) == status:
            return
        if status is None:
            del self._sources[source]
        else:
            self._sources[source] = status
        self.revision += 1

    def _put(self, tools: dict[str, Tool]) -> None:
        if tools != self._tools:
            self._tools = tools
            self.revision += 1
