"""What is said of a server, how much it may take, and how it stands. Data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from meerkat_mob.errors import InvalidParams


class ServerEntry(Protocol):
    """A server as a definition names it: a command to start, or a URL to reach.

    ``env`` is what a command gets beside the little that every program of ours has.
    """

    @property
    def command(self) -> Sequence[str]:
        """The program and its arguments; no shell reads it."""
        ...

    @property
    def url(self) -> str | None:
        """Where it speaks streamable HTTP."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Variables for the command."""
        ...


class McpLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bounds for each server; times in seconds.

    It has ``connect`` to say what tools it has, each call has ``call``. One that is taken away has
    ``drain`` to finish the calls it has. After the first failure it is tried again in ``pause``,
    then in twice that, and so on; after ``attempts`` failures in a row it is given up. A
    connection that held for a minute begins the count anew.
    """

    connect: Annotated[float, Meta(gt=0)] = 60
    call: Annotated[float, Meta(gt=0)] = 120
    drain: Annotated[float, Meta(ge=0)] = 10
    pause: Annotated[float, Meta(ge=0)] = 1
    attempts: Annotated[int, Meta(ge=1)] = 5


class Ending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a connection is over, and whether another one would be over for the same reason."""

    why: str
    is_final: bool = False


McpStatus: TypeAlias = Literal["stopped", "pending", "connected", "failed"]


class McpState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a server stands. ``reason`` says why it failed, or is tried again.

    ``tools`` are those it has now. ``left_out`` are its tools that cannot be offered: a name that
    model providers refuse, one that is given twice, or that its toolbox has from elsewhere.
    """

    status: McpStatus
    reason: str = ""
    tools: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def check(name: str, entry: ServerEntry) -> None:
    """Raises ``InvalidParams`` for an entry that names no server, or two."""
    if bool(entry.command) == (entry.url is not None):
        raise InvalidParams(
            what="it has both a command and a url" if entry.command else "it has no command",
            path=f"mcp_servers.{name}",
            hint="give it a command to start, or a url to reach",
        )
    if entry.url is None:
        return
    if entry.env:
        raise InvalidParams(
            what="nothing is started for a url, so nothing would read it",
            path=f"mcp_servers.{name}.env",
            hint="leave env out",
        )
    if not _is_http(entry.url):
        raise InvalidParams(
            what=f"{entry.url!r} is no URL to reach",
            path=f"mcp_servers.{name}.url",
            hint="an example is http://localhost:8080/mcp",
        )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
