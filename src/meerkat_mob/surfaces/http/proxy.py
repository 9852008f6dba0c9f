"""The proxy for pages that must not hold keys, as an ASGI application.

From the outside in: each request is noted, shown to the gate, answered for the browser (CORS), and
passed on if its path is one of ours. Bodies, queries and headers are never noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeAlias

import httpx2
import msgspec
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meerkat_mob.llm.failures import Server, not_usable
from meerkat_mob.llm.transport import new_client, told
from meerkat_mob.surfaces.http.gate import Doors, Visitor, refusal
from meerkat_mob.surfaces.http.passing import Passing, not_passed, said
from meerkat_mob.surfaces.http.upstreams import CALLS, Upstream

PREFLIGHT_S: Final = 600
"""How long a browser may remember what it may ask."""


class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request, as it is logged. ``status`` is None when nobody waited for an answer.

    ``whole`` is false for an answer that was cut off, on either side. ``fault`` is the kind of an
    error of ours, which is never expected.
    """

    method: str
    path: str
    status: int | None
    whole: bool
    ms: int
    fault: str | None = None


Noting: TypeAlias = Callable[[Note], None]


@asynccontextmanager
async def open_proxy(
    upstreams: Sequence[Upstream], doors: Doors, note: Noting
) -> AsyncGenerator[ASGIApp, None]:
    """The application; its connections to the providers are closed behind the block.

    Raises ``LlmUnreachable`` when the way out that the environment names cannot be taken.
    """
    async with AsyncExitStack() as stack:
        routes: list[Route] = []
        for upstream in upstreams:
            client = await stack.enter_async_context(_client(upstream))
            for call in CALLS[upstream.name]:
                one = Passing(upstream, call, client)
                routes += (
                    Route(path.replace("{model}", "{model:path}"), one)
                    for path in upstream.paths(call)
                )
        router = Router(routes, redirect_slashes=False, default=_elsewhere)
        in_browsers = CORSMiddleware(
            router,
            allow_origins=doors.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),  # the page's clients may say what they like: we choose
            allow_private_network=True,
            expose_headers=("*",),
            max_age=PREFLIGHT_S,
        )
        yield _noted(_gated(in_browsers, doors), note)


def _client(upstream: Upstream) -> httpx2.AsyncClient:
    try:
        return new_client(upstream.url, headers={})
    except (ImportError, ValueError, httpx2.InvalidURL) as fault:
        raise not_usable(Server(url=upstream.url, provider=upstream.name), told(fault)) from fault


async def _elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Every path that is none of ours."""
    await said(not_passed(scope["method"], scope["path"]))(scope, receive, send)


def _gated(app: ASGIApp, doors: Doors) -> ASGIApp:
    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        client: tuple[str, int] | None = scope.get("client")
        visitor = Visitor(
            host=headers.get("host", ""),
            origin=headers.get("origin"),
            fetch_site=headers.get("sec-fetch-site"),
            address=client[0] if client else "",
        )
        fault = refusal(visitor, doors)
        if fault is None:
            await app(scope, receive, send)
        else:
            answer = said(fault)
            answer.headers["vary"] = "Origin"
            await answer(scope, receive, send)

    return gate


def _noted(app: ASGIApp, note: Noting) -> ASGIApp:
    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        began, status, whole, fault = clock(), None, False, None

        async def sent(message: Message) -> None:
            nonlocal status, whole
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                whole = not message.get("more_body", False)

        try:
            await app(scope, receive, sent)
        except Exception as error:
            fault = type(error).__name__  # its words could hold what is not to be logged
            raise  # the server answers 500, or cuts the answer off
        finally:
            note(
                Note(
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    whole=whole,
                    ms=round((clock() - began) * 1000),
                    fault=fault,
                )
            )

    return noting
