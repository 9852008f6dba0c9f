"""What the tests of MCP servers share. No tests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from meerkat_mob.agent.mcp import Mcp, McpLimits, McpServers
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.mob.definition.model import McpServer

ROOT = Path(__file__).parents[4]
TIME = McpServer(command=(sys.executable, "-m", "mcp_server_time", "--local-timezone=UTC"))
"""A server that others wrote."""


def ours(*words: str, **env: str) -> McpServer:
    """Our own, over its pipes."""
    program = (sys.executable, "-m", "tests.agent.host.mcp.a_server", *words)
    return McpServer(command=program, env={"PYTHONPATH": str(ROOT), **env})


@asynccontextmanager
async def connected(
    limits: McpLimits | None = None, **servers: McpServer
) -> AsyncGenerator[McpServers, None]:
    """Servers that are started, and have settled."""
    async with Mcp(limits=limits).servers(servers) as found:
        await found.settled()
        yield found


@asynccontextmanager
async def over_http() -> AsyncGenerator[tuple[McpServer, asyncio.subprocess.Process], None]:
    """Our own, over HTTP on loopback, and the process that it is."""
    process = await asyncio.create_subprocess_exec(
        *ours("http").command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        yield McpServer(url=f"http://127.0.0.1:{port}/mcp"), process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def call(box: Toolbox, tool: str, **args: Json) -> ToolOutcome:
    """What comes of a call."""
    raw = msgspec.Raw(msgspec.json.encode(args))
    return await ToolSet(box.tools).dispatch(ToolCall(id="c", name=tool, args=raw))


def names(box: Toolbox) -> list[str]:
    """What can be called."""
    return [tool.definition.name for tool in box.tools]
