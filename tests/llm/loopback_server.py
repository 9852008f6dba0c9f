"""A server on loopback that answers byte by byte as a test tells it to. No tests.

It lives in the test's own loop, so a test and its server can wait for each other and need no
threads. It speaks just enough HTTP to be a good server, or a bad one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import msgspec

from meerkat_mob.core.jsonvalue import Json

STREAM = "text/event-stream"


class Asked(msgspec.Struct):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class LoopbackServer:
    """What it was asked, over how many connections, and whether somebody hung up on it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.address = ""
        self.asked: list[Asked] = []
        self.connections = 0
        self.hung_up = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self.connections += 1
        try:
            while not writer.is_closing():
                asked = await read_request(reader)
                self.asked.append(asked)
                await self._answer_or_hang_up(asked, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_or_hang_up(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A client sends nothing while it is answered: an end of its side means that it left."""
        answering = asyncio.ensure_future(self._answer(asked, writer))
        leaving = asyncio.ensure_future(_left(reader))
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.hung_up.set()
        finally:
            for task in (answering, leaving):
                task.cancel()
            ended = await asyncio.gather(answering, leaving, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]


async def _left(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[LoopbackServer, None]:
    """A server on a free port until the end of the block."""
    served = LoopbackServer(answer)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(served.serve(reader, writer))
        connections.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """One request with a body of known length. What begins like TLS is no request."""
    if (begin := await reader.readexactly(1)) == b"\x16":
        raise ConnectionError
    rest = await reader.readuntil(b"\r\n\r\n")
    first, *lines = (begin + rest).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


# -- answers -------------------------------------------------------------------------------------


def head(status: int = 200, kind: str = STREAM, *more: str) -> bytes:
    """The head of an answer that comes in chunks."""
    lines = (f"HTTP/1.1 {status} Said So", f"content-type: {kind}", "transfer-encoding: chunked")
    return ("\r\n".join((*lines, *more)) + "\r\n\r\n").encode()


def piece(data: bytes) -> bytes:
    """One chunk on the wire; an empty one ends the answer."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = piece(b"")


def event(value: Json) -> bytes:
    """One server-sent event; text stands for itself."""
    data = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"data: {data}\n\n".encode()


def delta(finish: str | None = None, **fields: Json) -> bytes:
    """One completion chunk as an event."""
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def saying(*pieces: bytes) -> Answer:
    """Each piece as one chunk, then a good end."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        for data in pieces:
            writer.write(piece(data))
            await writer.drain()
        writer.write(END)
        await writer.drain()

    return answer


def whole(status: int, kind: str, body: str, *headers: str) -> Answer:
    """An answer that is not streamed."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, kind, *headers) + (piece(body.encode()) if body else b"") + END)
        await writer.drain()

    return answer


def breaking_off(*pieces: bytes, reset: bool = False) -> Answer:
    """Begins well, and then the connection is gone."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + b"".join(map(piece, pieces)))
        await writer.drain()
        if reset:
            await asyncio.sleep(0.01)  # let the first pieces through
            writer.transport.abort()
        else:
            writer.close()

    return answer


async def saying_nothing(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Takes the request, and that is all."""
    await asyncio.get_running_loop().create_future()
