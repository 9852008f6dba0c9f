"""An MCP server that tests start: it can grow a tool, hang, die, and show what it was given.

``python -m tests.agent.host.mcp.a_server`` speaks over its pipes; with ``http`` it serves on a
free port of loopback, and says which in its first line. Further words change how it begins.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
from pathlib import Path

import uvicorn
from mcp import types
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)

server = MCPServer("a-server")


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def variable(name: str) -> str:
    """A variable of this process."""
    return os.environ.get(name, "(none)")


@server.tool()
def fail(why: str) -> str:
    """Goes wrong."""
    raise ToolError(why)


@server.tool()
def picture() -> list[str | Image]:
    """A text and an image."""
    return ["a dot", Image(data=PIXEL, format="png")]


@server.tool()
def link() -> types.CallToolResult:
    """Names something that is elsewhere."""
    where = types.ResourceLink(name="notes", uri="file:///notes.txt", type="resource_link")
    return types.CallToolResult(content=[where])


@server.tool()
def count_words(text: str) -> dict[str, int]:
    """Structured content."""
    return {"words": len(text.split())}


@server.tool()
async def wait_for(path: str) -> str:
    """Says that it has begun, and ends when it is told to."""
    place = Path(path)
    place.with_suffix(".begun").touch()
    while not place.exists():
        await asyncio.sleep(0.01)
    return "waited"


@server.tool()
def die() -> str:
    """Ends this process in the middle of the call."""
    os.write(2, b"out of order\n")
    os._exit(3)


@server.tool()
async def learn(name: str, context: Context) -> str:
    """This server has one tool more from now on."""

    def learned(text: str) -> str:
        return f"{name}: {text}"

    server.add_tool(learned, name=name, description="New.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "learned"


def main(words: list[str]) -> None:
    """Serves as it is told to."""
    if "silent" in words:
        sys.stdin.read()
        return
    if "bad-names" in words:
        server.add_tool(lambda: "", name="a.b")
    if "http" not in words:
        server.run()
        return
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.streamable_http_app()
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=0)
    asyncio.run(uvicorn.Server(config).serve([listening]))


if __name__ == "__main__":
    main(sys.argv[1:])
