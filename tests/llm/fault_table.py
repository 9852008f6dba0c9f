"""What a caller sees of each fault of a server, in each dialect, on the virtual clock. No tests.

``python -m scripts.fault_table`` prints the table. The servers are played where httpx2 ends; that
real sockets and a real browser's ``fetch`` show the same faults is tested over loopback.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

import httpx2
import msgspec

from meerkat_mob.errors import LlmFailed, MeerkatError
from meerkat_mob.llm import HttpLlm, transport
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.testing import a_service, a_session, a_turn
from tests.llm.every_dialect import words_in

ADDRESS: Final = "http://played.invalid"
STREAM: Final = {"content-type": "text/event-stream"}
Played: TypeAlias = Callable[[httpx2.Request, list[bytes]], httpx2.Response]
"""Answers a request, for which a good server would send these events."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: the reason of its failure or "answered"; after how many calls and ms."""

    ended: str
    code: str
    calls: int
    lost_ms: int
    told: str


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part


class _Server(httpx2.AsyncBaseTransport):
    def __init__(self, played: Played, events: list[bytes]) -> None:
        self._played, self._events, self.calls = played, events, 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        response = self._played(request, self._events)
        if response.status_code == 599:  # never begins
            await asyncio.get_running_loop().create_future()
        return response


# -- faults ------------------------------------------------------------------------------------


def _streamed(parts: AsyncIterator[bytes], **headers: str) -> httpx2.Response:
    return httpx2.Response(200, headers={**STREAM, **headers}, stream=_Stream(parts))


def _status(
    status: int, body: str = '{"error": {"message": "so it is"}}', **headers: str
) -> Played:
    return lambda _, __: httpx2.Response(status, headers=headers, text=body)


def _breaks(fault: Callable[[str], Exception], *, after: int) -> Played:
    async def parts(events: list[bytes]) -> AsyncIterator[bytes]:
        for event in events[:after]:
            yield event
        raise fault("the peer is gone")

    return lambda _, events: _streamed(parts(events))


def _slow(pause_s: float, *, says: int | None = None) -> Played:
    async def parts(events: list[bytes]) -> AsyncIterator[bytes]:
        for event in events[:says]:
            await asyncio.sleep(pause_s)
            yield event
        if says is not None:
            await asyncio.get_running_loop().create_future()

    return lambda _, events: _streamed(parts(events))


def _drips(pause_s: float) -> Played:
    async def parts(events: list[bytes]) -> AsyncIterator[bytes]:
        for byte in b"".join(events):
            await asyncio.sleep(pause_s)
            yield bytes([byte])

    return lambda _, events: _streamed(parts(events))


def _ends(*, after: int, instead: bytes = b"") -> Played:
    async def parts(events: list[bytes]) -> AsyncIterator[bytes]:
        for event in (*events[:after], instead):
            yield event

    return lambda _, events: _streamed(parts(events))


def _refused(request: httpx2.Request, _: list[bytes]) -> httpx2.Response:
    raise httpx2.ConnectError("connection refused", request=request)


_PAGE: Final = "<html><body>Welcome</body></html>"
FAULTS: Final[Mapping[str, Played]] = {
    "nobody there": _refused,
    "401": _status(401),
    "404": _status(404),
    "429, wait 7 s": _status(429, **{"retry-after": "7"}),
    "429 without a hint": _status(429),
    "500": _status(500),
    "503": _status(503),
    "redirect": _status(302, location="http://elsewhere.invalid/"),
    "a web page": lambda _, __: httpx2.Response(200, html=_PAGE),
    "silence, from the start": lambda _, __: httpx2.Response(599),
    "silence, in the middle": _slow(0, says=1),
    "reset in the middle": _breaks(httpx2.ReadError, after=1),
    "wrong length": _breaks(httpx2.RemoteProtocolError, after=1),
    "an end in the middle": _ends(after=1),
    "garbage in the middle": _ends(after=1, instead=b"data: {nonsense\n\n"),
    "a slow drip, 0.1 s a byte": _drips(0.1),
    "a slow drip, 30 s a byte": _drips(30),
}


# -- the table -----------------------------------------------------------------------------------


@contextmanager
def _served_by(server: _Server) -> Generator[None, None, None]:
    """Whatever is opened within the block speaks to the played server."""

    def served(url: str, **_: object) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=server, base_url=url)

    before = transport.new_client
    transport.new_client = served
    try:
        yield
    finally:
        transport.new_client = before


async def outcome(fault: str, dialect: DialectName) -> Outcome:
    """A session's run against a server with that fault; retries are the agent's usual ones."""
    server = _Server(FAULTS[fault], words_in(dialect))
    loop = asyncio.get_running_loop()
    client = HttpLlm(ADDRESS, dialect=dialect, provider="played")
    with _served_by(server):
        service = a_service(client)
        began = loop.time()
        failed: MeerkatError | None = None
        try:
            await service.start_turn(await a_session(service), a_turn())
        except MeerkatError as error:
            failed = error
        lost_ms = round((loop.time() - began) * 1000)
        await client.aclose()
    reason = failed.reason if isinstance(failed, LlmFailed) else type(failed).__name__
    return Outcome(
        ended="answered" if failed is None else reason,
        code="" if failed is None else failed.code,
        calls=server.calls,
        lost_ms=lost_ms,
        told="" if failed is None else str(failed),
    )
