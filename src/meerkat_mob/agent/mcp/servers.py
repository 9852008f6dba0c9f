"""The servers of a team: which there are, how they stand, and their tools.

Nobody waits for a server: each connects in a task of its own, and what it brings appears in its
toolbox. Whoever was given the toolbox sees the change at its next turn boundary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec

from meerkat_mob import _target
from meerkat_mob.agent.mcp.connection import Connection
from meerkat_mob.agent.mcp.entries import McpLimits, McpState, ServerEntry, check
from meerkat_mob.core.strict import checked
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.errors import CapabilityUnavailable, InvalidParams


class Mcp:
    """The leave to start and to reach the servers that a team names; they are programs.

    Raises ``CapabilityUnavailable`` in a browser and without the extra ``mcp``, and
    ``InvalidParams`` for limits that are none.
    """

    def __init__(self, *, limits: McpLimits | None = None) -> None:
        _insist_on_the_sdk()
        self._limits = checked(limits or McpLimits(), path="limits")

    def servers(self, servers: Mapping[str, ServerEntry] | None = None) -> McpServers:
        """Servers by name, not started yet. Raises ``InvalidParams``."""
        return McpServers(servers or {}, self._limits)


class McpServers:
    """MCP servers by name. ``start`` them, and ``stop`` them before the loop ends; both repeat.

    Made by ``Mcp.servers``.
    """

    def __init__(self, servers: Mapping[str, ServerEntry], limits: McpLimits) -> None:
        """Raises ``InvalidParams`` for an entry that names no server."""
        self._servers = dict(servers)
        for name, entry in self._servers.items():
            check(name, entry)
        self._limits = limits
        self._boxes: dict[str, Toolbox] = {}
        self._elsewhere: dict[str, Toolbox] = {}
        self._connections: dict[str, Connection] = {}
        self._leaving: set[Connection] = set()
        self._is_started = False

    async def __aenter__(self) -> McpServers:
        """Starts them."""
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops them."""
        await self.stop()

    @property
    def states(self) -> Mapping[str, McpState]:
        """How each server stands, by name."""
        off = McpState(status="stopped")
        found = self._connections
        return {name: found[name].state if name in found else off for name in self._servers}

    def toolbox(self, name: str) -> Toolbox:
        """The tools of the server of that name, as they come and go.

        It is the same one for ever: one that is asked for before its server is there fills later.
        """
        return self._boxes.setdefault(name, Toolbox())

    def start(self) -> None:
        """Begins to connect all that are not, at the same time, and returns at once. Idempotent."""
        self._is_started = True
        for name in self._servers:
            if name not in self._connections:
                self._connect(name)

    async def stop(self) -> None:
        """Takes all tools away, lets calls finish for ``drain`` seconds, and ends every server.

        Nothing of them is left when this returns. Idempotent.
        """
        self._is_started = False
        for name in tuple(self._connections):
            self._let_go(name)
        await asyncio.gather(*[connection.end() for connection in tuple(self._leaving)])

    def add(self, name: str, server: ServerEntry, *, toolbox: Toolbox | None = None) -> None:
        """Adds a server, and begins to connect it if the others are started.

        Its tools go into ``toolbox``, or into its own. Raises ``InvalidParams`` for a name that is
        taken, and an entry that names no server.
        """
        if name in self._servers:
            raise InvalidParams(
                what=f"there is a server {name!r}", path="mcp_servers", hint="remove it first"
            )
        check(name, server)
        self._servers[name] = server
        if toolbox is not None:
            self._elsewhere[name] = toolbox
        if self._is_started:
            self._connect(name)

    async def remove(self, name: str) -> None:
        """Removes a server: its tools at once, itself when its calls are finished.

        Raises ``InvalidParams`` for a name that is not there.
        """
        if name not in self._servers:
            known = ", ".join(self._servers) or "none"
            raise InvalidParams(
                what=f"there is no server {name!r}", path="mcp_servers", hint=f"there are: {known}"
            )
        del self._servers[name]
        self._elsewhere.pop(name, None)
        if name in self._connections:
            await self._let_go(name).end()

    async def settled(self) -> None:
        """Waits until no server is pending: each is connected, or has failed."""
        while waiting := [c for c in self._connections.values() if c.state.status == "pending"]:
            await waiting[0].settled.wait()

    def _connect(self, name: str) -> None:
        self._connections[name] = Connection(
            name,
            self._servers[name],
            box=self._elsewhere.get(name) or self.toolbox(name),
            limits=self._limits,
        )

    def _let_go(self, name: str) -> Connection:
        """From here on it takes no call; ``stop`` waits for its end if nobody else does."""
        connection = self._connections.pop(name)
        self._leaving.add(connection)
        connection.let_go(self._leaving.discard)
        return connection


def _insist_on_the_sdk() -> None:
    """Raises ``CapabilityUnavailable`` where no server can be reached."""
    why, instead = "", ""
    if _target.IN_BROWSER:
        why, instead = "servers are reached from the host only", "members run without their tools"
    elif find_spec("mcp") is None:
        why, instead = "mcp is not installed", "pip install meerkat-mob[mcp] adds it"
    if why:
        raise CapabilityUnavailable(capability="MCP servers", why=why, instead=instead)
