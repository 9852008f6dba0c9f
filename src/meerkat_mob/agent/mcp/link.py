"""One connection to one server, from its beginning to its end.

It is entered and left in the task that runs it. What goes wrong with it ends it, and is told; what
goes wrong with a call is that call's outcome. This module imports the SDK.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

import anyio
import msgspec
from anyio.abc import TaskStatus
from mcp import Client, MCPError, types
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

from meerkat_mob.agent.mcp.entries import Ending, McpLimits, ServerEntry
from meerkat_mob.agent.mcp.offered import offered
from meerkat_mob.agent.mcp.results import outcome_of
from meerkat_mob.agent.mcp.wire import Wire
from meerkat_mob.core.tools import ToolDef, ToolOutcome, tool_error

Found: TypeAlias = Callable[[Sequence[ToolDef], tuple[str, ...]], None]
"""Told which tools there are now, and the names of those that cannot be offered."""

MOST_PAGES: Final = 100
"""Pages of a list of tools; one that is longer has no end."""


class Link:
    """``run`` it once. It ends when it is lost, or when somebody has ``let_go`` of it."""

    def __init__(self, name: str, server: ServerEntry, *, limits: McpLimits, found: Found) -> None:
        self._name, self._limits, self._found = name, limits, found
        self._wire = Wire(
            server, limits=limits, ended=lambda: self._lose("it closed the connection")
        )
        self._scope = anyio.CancelScope()
        self._client: Client | None = None
        self._lost: str | None = None
        self._is_stale = self._is_left = False
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._calls = 0

    async def run(self) -> Ending:
        """Connects, and says what tools there are, then and whenever that changes."""
        with self._scope:
            self._scope.deadline = anyio.current_time() + self._limits.connect
            try:
                async with Client(self._wire.open(), message_handler=self._hear) as client:
                    await self._stay(client)
            except Exception as fault:  # of the SDK, of what it uses, and groups of both
                self._lose(_told(fault))
        if self._scope.cancelled_caught:
            self._lose(f"it did not answer within {self._limits.connect:g} s")
        why = self._wire.with_last_words(self._lost or "")
        return Ending(why=why, is_final=self._wire.could_not_start)

    def let_go(self) -> None:
        """No further calls; it ends when those it has are finished, or at once if it has none."""
        self._is_left = True
        self._news.set()
        if self._client is None:
            self._scope.cancel()

    async def call(self, tool: str, args: msgspec.Raw) -> ToolOutcome:
        """One call of a tool. It is raised from here only that somebody cancels it."""
        client = self._client
        if client is None or self._is_left or self._lost is not None:
            why = self._lost or "it is being taken away"
            told = f"the server {self._name!r} is not connected: {why}"
            return tool_error("tool_unavailable", told)
        try:
            arguments = msgspec.json.decode(args, type=dict[str, Any])
        except msgspec.ValidationError:
            return tool_error("invalid_arguments", "the arguments are not an object")
        self._calls += 1
        self._idle.clear()
        limit = asyncio.timeout(self._limits.call)
        try:
            async with limit:
                return outcome_of(await client.call_tool(tool, arguments))
        except TimeoutError:
            return self._timed_out() if limit.expired() else self._broken("a time limit of its own")
        except MCPError as fault:
            return self._refused(fault)
        except Exception as fault:  # an answer that the SDK cannot make sense of
            return tool_error("execution_failed", f"{self._name} answered badly: {_told(fault)}")
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _stay(self, client: Client) -> None:
        self._client = client
        try:
            async with anyio.create_task_group() as group:
                if self._tells_of_changes(client):  # first: what changes meanwhile is told of
                    await group.start(self._listen, client)
                await self._look(client)
                self._scope.deadline = math.inf
                while self._lost is None and not self._is_left:
                    await self._news.wait()
                    self._news.clear()
                    if self._is_stale:
                        await self._look(client)
                with anyio.move_on_after(self._limits.drain):
                    await self._idle.wait()
                group.cancel_scope.cancel()
        finally:
            self._client = None

    async def _look(self, client: Client) -> None:
        """Asks for its tools."""
        self._is_stale = False
        found: list[types.Tool] = []
        if client.server_capabilities.tools is not None:
            with anyio.fail_after(self._limits.connect):
                found = await _list(client)
        self._found(*offered(found, server=self._name))

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._expire()

    def _tells_of_changes(self, client: Client) -> bool:
        tools = client.server_capabilities.tools
        return tools is not None and bool(tools.list_changed)

    async def _listen(self, client: Client, *, task_status: TaskStatus[None]) -> None:
        """Newer servers tell of changes to those only who listen."""
        is_open = False
        with suppress(ListenNotSupportedError, MCPError, SubscriptionLost):
            async with client.listen(tools_list_changed=True) as changes:
                is_open = True
                task_status.started()
                async for _ in changes:
                    self._expire()
        if is_open:
            self._lose("it stopped telling of changes")
        else:  # an older one tells everybody, and one that refuses tells nobody
            task_status.started()

    def _expire(self) -> None:
        self._is_stale = True
        self._news.set()

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
        self._news.set()

    def _timed_out(self) -> ToolOutcome:
        seconds = self._limits.call
        told = tool_error("timeout", f"it took longer than {seconds:g} s and was cut off")
        return msgspec.structs.replace(told, timed_out_ms=round(seconds * 1000))

    def _refused(self, fault: MCPError) -> ToolOutcome:
        match fault.code:
            case types.CONNECTION_CLOSED:
                return self._broken(str(fault))
            case types.INVALID_REQUEST:  # over HTTP also: the session is none any more
                self._lose(str(fault))
                return tool_error("tool_unavailable", f"{self._name} refused the request: {fault}")
            case types.INVALID_PARAMS:
                return tool_error("invalid_arguments", str(fault))
            case _:
                return tool_error("execution_failed", str(fault), rpc_code=fault.code)

    def _broken(self, why: str) -> ToolOutcome:
        told = f"the connection to {self._name} was lost, the call may have been carried out: {why}"
        return tool_error("outcome_unknown", told)


async def _list(client: Client) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise ValueError(f"its list of tools has more than {MOST_PAGES} pages")


def _told(fault: Exception) -> str:
    """What a library said, or at least what it raised: of a group, the first."""
    while isinstance(fault, ExceptionGroup):
        fault = cast("ExceptionGroup[Exception]", fault).exceptions[0]
    if isinstance(fault, TimeoutError) and not str(fault):
        return "it did not answer in time"
    return str(fault) or type(fault).__name__
