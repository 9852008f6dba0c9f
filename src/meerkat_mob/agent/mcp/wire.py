"""The way to a server: the pipes of a program, or streamable HTTP. This module imports the SDK.

The SDK starts a program in a process group of its own and ends the group with the connection. A
program has none of our environment but what ``environment`` and the SDK let through: no keys.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

import anyio
import httpx2
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from meerkat_mob import _target
from meerkat_mob.agent.mcp.entries import McpLimits, ServerEntry
from meerkat_mob.agent.processes import environment
from meerkat_mob.llm.base_url import is_loopback

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams

LAST_WORDS: Final = 500
"""Characters of a program's errors that explain why it failed."""


class Wire:
    """Opened once. ``ended`` is told when a program has said the last it will say."""

    def __init__(
        self, server: ServerEntry, *, limits: McpLimits, ended: Callable[[], object]
    ) -> None:
        self._server, self._limits, self._ended = server, limits, ended
        self._errors = _Tail(LAST_WORDS)
        self._could_not_start = False

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[TransportStreams, None]:
        """Both directions, for the SDK's client."""
        url = self._server.url
        async with self._program() if url is None else self._http(url) as streams:
            yield streams

    @property
    def could_not_start(self) -> bool:
        """There is no such program, or it may not be run: trying again would not help."""
        return self._could_not_start

    def with_last_words(self, why: str) -> str:
        """Why it ended, and the end of what its program wrote to its errors."""
        words = self._errors.text
        return f"{why}: {words}" if words else why

    @asynccontextmanager
    async def _program(self) -> AsyncGenerator[TransportStreams, None]:
        program, *args = self._server.command
        asked = StdioServerParameters(
            command=program,
            args=args,
            env=environment(self._server.env),
            encoding_error_handler="replace",
        )
        is_started = False
        try:
            async with (
                self._errors.listening() as errors,
                stdio_client(asked, errlog=errors) as (heard, said),
            ):
                is_started = True
                yield _Heard(heard, self._ended), said
        except (OSError, ValueError):
            self._could_not_start = not is_started
            raise

    @asynccontextmanager
    async def _http(self, url: str) -> AsyncGenerator[TransportStreams, None]:
        async with (
            httpx2.AsyncClient(
                # calls have their own limit, and who listens for changes has none
                timeout=httpx2.Timeout(None, connect=self._limits.connect),
                trust_env=not is_loopback(httpx2.URL(url).host),  # whence come proxies
            ) as client,
            streamable_http_client(url, http_client=client) as streams,
        ):
            yield streams


class _Heard:
    """What a program says, and that it has said its last."""

    def __init__(
        self, stream: ReadStream[SessionMessage | Exception], ended: Callable[[], object]
    ) -> None:
        self._stream, self._ended = stream, ended

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        try:
            return await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._ended()
            raise

    async def aclose(self) -> None:
        """Nobody reads any more."""
        await self._stream.aclose()

    def __aiter__(self) -> ReadStream[SessionMessage | Exception]:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Tail(asyncio.Protocol):
    """Reads whatever a program writes to its errors, and keeps the end of it."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, b""

    @property
    def text(self) -> str:
        """The end of it, on one line."""
        return " ".join(self._kept.decode(errors="replace").split())[-self._most :]

    def data_received(self, data: bytes) -> None:
        """Keeps no more than can be shown."""
        self._kept = (self._kept + data)[-4 * self._most :]

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[TextIO, None]:
        """A file for the program; where pipes cannot be read so, what it writes is dropped."""
        if not _target.PROCESS_GROUPS:
            with os.fdopen(os.open(os.devnull, os.O_WRONLY), "w") as nowhere:
                yield nowhere
            return
        ours, theirs = os.pipe()
        with os.fdopen(theirs, "w") as errors:
            pipe = os.fdopen(ours, "rb", buffering=0)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)
            try:
                yield errors
            finally:
                transport.close()  # and the pipe
