"""One HTTP transport for every provider and both targets: a POST whose answer is streamed.

httpx2 speaks through sockets on the host and through the page's ``fetch`` in a browser. Whatever
fails leaves here as an ``LlmFailed`` that says what its user can do. This module imports httpx2, so
it is imported when a client is opened, and not before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import httpx2
import msgspec

from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.base_url import is_loopback
from meerkat_mob.llm.failures import (
    OBSTACLE,
    Obstacle,
    Server,
    broken_off,
    not_answering,
    not_usable,
    status_failure,
    timed_out,
)

CONNECT_S: Final = 30.0
REQUEST_S: Final = 300.0
"""From the request to the last byte of its answer (CLI-4)."""

MOST_OF_AN_ERROR: Final = 64 * 1024
"""Bytes we read of an answer that only explains an error."""


JSON: Final = "application/json"
HEADERS: Final[Mapping[str, str]] = {
    "accept": "text/event-stream",
    "content-type": JSON,
    "user-agent": "meerkat-mob",
}
NO_HEADERS: Final[Mapping[str, str]] = {}
KEPT_CONNECTIONS: Final = 20

DRAIN_S: Final = 0.5
"""How long we wait for a server to end an answer of which we have everything."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A moment on the loop's clock, and how long it was away when the request began."""

    at: float
    seconds: float


class Reply:
    """An answer with a good status, whose body is still coming."""

    def __init__(self, server: Server, response: httpx2.Response, limit: Limit) -> None:
        self._server, self._response, self._limit = server, response, limit
        self._body = response.aiter_bytes()  # one for all readers: each goes on where one stopped

    @property
    def content_type(self) -> str:
        """The media type, without parameters and in lower case."""
        told: str = self._response.headers.get("content-type", "")
        return told.partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body in the pieces it comes in. Raises ``LlmFailed`` when the connection breaks."""
        while True:
            try:
                async with asyncio.timeout_at(self._limit.at):
                    chunk = await anext(self._body, None)
            except (TimeoutError, httpx2.TimeoutException):
                raise timed_out(self._server, "finish its answer", self._limit.seconds) from None
            except httpx2.RequestError as fault:
                raise broken_off(self._server, told(fault)) from fault
            if chunk is None:
                return
            yield chunk

    async def text(self, most: int = MOST_OF_AN_ERROR) -> str:
        """The body as text, or what there is of it; at most so many bytes."""
        kept = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                kept += chunk
                if len(kept) >= most:
                    break
        return kept[:most].decode(errors="replace")

    async def drain(self) -> None:
        """Reads on to the end, for a moment: then the connection can be used again."""
        with suppress(TimeoutError, LlmFailed):
            async with asyncio.timeout(DRAIN_S), aclosing(self.chunks()) as chunks:
                async for _ in chunks:
                    pass

    async def aclose(self) -> None:
        """Lets the connection go: back to the others if the body was read to its end."""
        await self._body.aclose()
        await self._response.aclose()


class HttpTransport:
    """Connections to one server. They are opened when needed and kept until ``aclose``."""

    def __init__(
        self,
        server: Server,
        *,
        headers: Mapping[str, str],
        connect_s: float = CONNECT_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self._server, self._connect_s, self._request_s = server, connect_s, request_s
        self._headers = {**HEADERS, **headers}
        self._client: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def ask(
        self, server: Server, body: bytes | None, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Reply, None]:
        """Sends a JSON body to an endpoint of the server, or asks what is there with None.

        ``headers`` are those of this call alone. The answer is let go behind the block.
        Raises ``LlmFailed`` for whatever is no answer with a good status.
        """
        now = asyncio.get_running_loop().time()
        limit = Limit(at=now + self._request_s, seconds=self._request_s)
        response = await self._send(server, body, headers, limit)
        reply = Reply(server, response, limit)
        try:
            if response.status_code != 200:
                raise status_failure(
                    server,
                    response.status_code,
                    body=await reply.text(),
                    retry_after=response.headers.get("retry-after"),
                )
            yield reply
        finally:
            await reply.aclose()

    async def _send(
        self, server: Server, body: bytes | None, headers: Mapping[str, str], limit: Limit
    ) -> httpx2.Response:
        client = self._open()
        if body is None:
            request = client.build_request("GET", server.url, headers={"accept": JSON})
        else:
            request = client.build_request("POST", server.url, content=body, headers=headers)
        try:
            async with asyncio.timeout_at(limit.at):
                return await client.send(request, stream=True)
        except httpx2.ConnectTimeout:
            raise timed_out(server, "connect", self._connect_s) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise timed_out(server, "begin to answer", limit.seconds) from None
        except (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol) as fault:
            obstacle: Obstacle | None = request.extensions.get(OBSTACLE)
            raise not_answering(server, told(fault), obstacle) from fault
        except httpx2.RequestError as fault:
            raise broken_off(server, told(fault)) from fault

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            try:
                self._client = new_client(
                    self._server.url,
                    headers=self._headers,
                    connect_s=self._connect_s,
                    request_s=self._request_s,
                    in_page=self._server.in_page,
                )
            except (ImportError, ValueError, httpx2.InvalidURL) as fault:
                raise not_usable(self._server, told(fault)) from fault
        return self._client

    async def aclose(self) -> None:
        """Closes the connections. Idempotent; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def new_client(
    url: str,
    *,
    headers: Mapping[str, str],
    connect_s: float = CONNECT_S,
    request_s: float = REQUEST_S,
    in_page: bool = False,
) -> httpx2.AsyncClient:
    """Connections to the server of a URL; none is open yet.

    Raises what httpx2 raises for a way out that the environment names and that cannot be taken.
    """
    server = httpx2.URL(url)
    # llama.cpp promises to keep a connection and closes it: the next call would run into that.
    # Only where a new one is dear, because of TLS, is it worth being kept.
    kept = KEPT_CONNECTIONS if server.scheme == "https" else 0
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(request_s, connect=connect_s, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=kept),
        trust_env=not is_loopback(server.host),  # whence come proxies
        transport=_page_fetch() if in_page else None,
    )


def _page_fetch() -> httpx2.AsyncBaseTransport:
    from meerkat_mob.llm.page_fetch import PageFetch  # noqa: PLC0415 (only a page has fetch)

    return PageFetch()


def told(fault: Exception) -> str:
    """What a library said, or at least what it raised."""
    return str(fault) or type(fault).__name__
