"""One call through the proxy: the page's request to the provider, and its answer back as it comes.

Three things must hold. The key goes to the provider and nowhere else. Who hangs up on one side ends
the other. An answer that broke off there breaks off here, and never ends as if it were whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from meerkat_mob.llm.proxied import ProxyFault, encode_fault
from meerkat_mob.llm.transport import CONNECT_S, REQUEST_S, told
from meerkat_mob.surfaces.http.upstreams import CALLS, Call, Upstream

MOST_OF_A_REQUEST: Final = 32 * 2**20
"""Bytes: what the largest of the providers takes."""

_PASSED_ON: Final = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "idempotency-key",
        "openai-beta",
        "x-client-request-id",
    }
)
"""What a request may say; keys, cookies, and where it comes from are not among it."""

_ASKED_ON: Final = frozenset(
    {"after_id", "alt", "before_id", "beta", "limit", "pageSize", "pageToken"}
)
"""What its query may ask; ``key`` is not among it."""

_OUR_OWN: Final = {"accept-encoding": "identity", "user-agent": "meerkat-mob"}

_KEPT_BACK: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "transfer-encoding", "upgrade"),  # these speak of one connection
        *("date", "server"),  # said by who answers
        *("alt-svc", "set-cookie", "strict-transport-security", "www-authenticate"),
    }
)
"""What an answer does not say on: the last four speak of a server that the page never sees."""


class Passing:
    """The ASGI application for one call of one provider."""

    def __init__(self, upstream: Upstream, call: Call, client: httpx2.AsyncClient) -> None:
        self._upstream, self._call, self._client = upstream, call, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and the answer back."""
        request = Request(scope, receive)
        try:
            asked = await self._request(request)
        except ClientDisconnect:
            return
        if isinstance(asked, ProxyFault):
            await said(asked)(scope, receive, send)
        else:
            await _unless_left(receive, self._pass(asked, scope, receive, send))

    async def _request(self, request: Request) -> httpx2.Request | ProxyFault:
        """What is asked of the provider, or why nothing is."""
        if request.method != self._call.method:
            return not_passed(request.method, request.url.path)
        body = bytearray()
        size = 0
        async for chunk in request.stream():  # to its end: who still sends hears no answer
            size += len(chunk)
            if size <= MOST_OF_A_REQUEST:
                body += chunk
        if size > MOST_OF_A_REQUEST:
            return ProxyFault(
                code="too_large",
                detail=f"the request has {size:,} bytes, and at most {MOST_OF_A_REQUEST:,} pass",
                hint="shorten the conversation, or send fewer or smaller images",
            )
        if not self._upstream.served:
            return key_missing(self._upstream)
        query = urlencode([(k, v) for k, v in parse_qsl(request.url.query) if k in _ASKED_ON])
        model: str = request.path_params.get("model", "")
        return httpx2.Request(
            self._call.method,
            self._upstream.target(self._call, model=model, query=query),
            headers=self._headers(request),
            content=bytes(body) or None,
        )

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """What the page may say as it says it, what it must, and the key."""
        said = [(k, v) for k, v in request.headers.raw if k.decode("latin-1") in _PASSED_ON]
        needed = {**self._upstream.headers, **_OUR_OWN}
        names = {name for name, _ in said}
        return said + [
            (name.encode(), value.encode())
            for name, value in needed.items()
            if name.encode() not in names
        ]

    async def _pass(
        self, asked: httpx2.Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = await self._answer(asked)
        if isinstance(answer, ProxyFault):
            await said(answer)(scope, receive, send)
            return
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status_code,
                    "headers": _passed_back(answer.headers.raw),
                }
            )
            async for chunk in answer.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx2.RequestError:
            return  # an answer without its end: the server cuts the connection
        finally:
            await answer.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer(self, asked: httpx2.Request) -> httpx2.Response | ProxyFault:
        """The provider's answer, with its body still to come, or why there is none."""
        where = self._upstream.url
        check = f"check {self._upstream.url_variables[0]}"
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx2.ConnectTimeout:
            return _timed_out(f"{where} did not connect within {CONNECT_S:g} s")
        except httpx2.TimeoutException:
            return _timed_out(f"{where} did not begin to answer within {REQUEST_S:g} s")
        except (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol) as fault:
            return ProxyFault(
                code="unreachable",
                detail=f"the proxy cannot reach {where} ({told(fault)})",
                hint=f"where the proxy runs, check the network, and {check}",
            )
        except httpx2.RequestError as fault:
            return ProxyFault(
                code="broken_off",
                detail=f"{where} hung up on the proxy before it answered ({told(fault)})",
                hint="ask again",
            )
        if answer.status_code in range(200, 300) or answer.status_code in range(400, 600):
            return answer
        await answer.aclose()
        return ProxyFault(
            code="no_model_server",
            detail=f"{where} answered {answer.status_code}, as no model server does",
            hint=f"where the proxy runs, {check}: it must be the address of the provider itself",
        )


def said(fault: ProxyFault) -> Response:
    """What the proxy has to say for itself."""
    return Response(encode_fault(fault), fault.row.status, media_type="application/json")


def not_passed(method: str, path: str) -> ProxyFault:
    """A request that is none of the calls that pass."""
    passing = ", ".join(
        f"{call.method} /{name}{call.endpoint}" for name, calls in CALLS.items() for call in calls
    )
    return ProxyFault(
        code="not_passed", detail=f"{method} {path} does not pass", hint=f"these do: {passing}"
    )


def key_missing(upstream: Upstream) -> ProxyFault:
    """A provider that cannot be asked."""
    return ProxyFault(
        code="key_missing",
        detail=f"the proxy has no key for {upstream.name}",
        hint=f"where it runs, set {' or '.join(upstream.key_variables)} and start it again",
    )


def _timed_out(detail: str) -> ProxyFault:
    return ProxyFault(code="timed_out", detail=detail, hint="wait until it has less to do")


def _passed_back(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer without those that speak of its connection, or are ours to say."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in lowered if name == b"connection")
    kept_back = _KEPT_BACK | {one.strip().lower() for one in named.decode("latin-1").split(",")}
    return [
        (name, value)
        for name, value in lowered
        if name.decode("latin-1") not in kept_back and not name.startswith(b"access-control-")
    ]


async def _unless_left(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Does the work, or as much of it as is done when the one who asked has left."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = working.done()
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    if done:
        working.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
