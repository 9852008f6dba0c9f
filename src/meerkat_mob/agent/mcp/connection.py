"""One server for as long as it is named: connected, lost, connected again, or given up.

Its toolbox holds what can be called now and nothing else. All of its life is one task, for a
connection of the SDK must be ended by the task that opened it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

from meerkat_mob.agent.mcp.entries import Ending, McpLimits, McpState, ServerEntry
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, tool_error

if TYPE_CHECKING:  # it imports the SDK, which is an extra
    from meerkat_mob.agent.mcp.link import Link

STEADY: Final = 60.0
"""Seconds after which a connection counts as one that works."""


class Connection:
    """Connects from the moment it is made. ``let_go`` of it, and await its ``end``."""

    def __init__(self, name: str, server: ServerEntry, *, box: Toolbox, limits: McpLimits) -> None:
        self._name, self._server, self._box, self._limits = name, server, box, limits
        self._tools: dict[str, Tool] = {}
        self._link: Link | None = None
        self._connected_at: float | None = None
        self._leaving = asyncio.Event()
        self.settled: Final = asyncio.Event()
        """Set while it is not pending."""
        self.state = McpState(status="pending")
        box.say(name, "pending")
        self._task = asyncio.create_task(self._live(), name=f"MCP server {name}")

    def let_go(self, gone: Callable[[Connection], object]) -> None:
        """Takes its tools away and has it end; ``gone`` is told when it has."""
        self._leaving.set()
        self._show(())
        self._box.say(self._name, None)
        self.settled.set()
        if self._link is not None:
            self._link.let_go()
        self._task.add_done_callback(lambda _: gone(self))

    async def end(self) -> None:
        """Waits until nothing of it is left. Cancelling this leaves it to end by itself."""
        await asyncio.shield(self._task)

    async def _live(self) -> None:
        failures = 0
        while not self._leaving.is_set():
            ending = await self._try()
            failures = 1 if self._was_steady() else failures + 1
            if self._leaving.is_set():
                return
            self._show(())
            if ending.is_final or failures >= self._limits.attempts:
                self._put(McpState(status="failed", reason=ending.why))
                return
            self._put(McpState(status="pending", reason=ending.why))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_after(failures, self._limits.pause)):
                    await self._leaving.wait()

    async def _try(self) -> Ending:
        """One connection, from its beginning to its end."""
        self._connected_at = None
        try:
            # the first time this takes most of a second
            await asyncio.to_thread(import_module, "meerkat_mob.agent.mcp.link")
            from meerkat_mob.agent.mcp.link import Link  # noqa: PLC0415 (the SDK is an extra)
        except ImportError as fault:
            hint = "pip install --upgrade meerkat-mob[mcp] repairs it"
            return Ending(why=f"the MCP SDK cannot be loaded: {fault}; {hint}", is_final=True)
        if self._leaving.is_set():
            return Ending(why="it is not wanted any more")
        self._link = Link(self._name, self._server, limits=self._limits, found=self._found)
        try:
            return await self._link.run()
        finally:
            self._link = None

    def _was_steady(self) -> bool:
        now, since = asyncio.get_running_loop().time(), self._connected_at
        return since is not None and now - since >= STEADY

    def _found(self, definitions: Sequence[ToolDef], left_out: tuple[str, ...]) -> None:
        """The server has these tools now."""
        if self._leaving.is_set():
            return
        if self._connected_at is None:
            self._connected_at = asyncio.get_running_loop().time()
        of_others = {tool.definition.name for tool in self._box.tools} - self._tools.keys()
        taken = tuple(told.name for told in definitions if told.name in of_others)
        self._show([told for told in definitions if told.name not in of_others])
        self._put(
            McpState(status="connected", tools=tuple(self._tools), left_out=(*left_out, *taken))
        )

    def _show(self, definitions: Sequence[ToolDef]) -> None:
        """What is as it was stays the same tool, so that nobody is told of it."""
        before, now = self._tools, dict[str, Tool]()
        for told in definitions:
            old = before.get(told.name)
            now[told.name] = old if old and old.definition == told else self._tool(told)
        self._tools = now
        self._box.remove(*[name for name, tool in before.items() if tool is not now.get(name)])
        self._box.add(*[tool for name, tool in now.items() if tool is not before.get(name)])

    def _put(self, state: McpState) -> None:
        self.state = state
        if state.status == "pending":
            self.settled.clear()
        else:
            self.settled.set()
        if state.status != "stopped":
            self._box.say(self._name, state.status)

    def _tool(self, definition: ToolDef) -> Tool:
        async def execute(call: ToolCall) -> ToolOutcome:
            if self._link is None or self._leaving.is_set():
                why = f": {self.state.reason}" if self.state.reason else ""
                told = f"the server {self._name!r} is not connected{why}"
                return tool_error("tool_unavailable", told)
            return await self._link.call(definition.name, call.args)

        return Tool(definition=definition, execute=execute)


def pause_after(failures: int, first: float) -> float:
    """Seconds until a server is tried again that has failed so often in a row."""
    return first * float(2 ** (failures - 1))
