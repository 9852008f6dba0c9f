"""The page's own ``fetch`` as an HTTP transport. Imported inside a page only.

A call that is let go, whether before or within its answer, is aborted on the wire: no server goes
on thinking for nobody. (The transport that httpx2 brings for pages leaves such a call running.)
Time limits are the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2
import js
from pyodide.ffi import JsException, to_js

from meerkat_mob.llm.base_url import is_mixed
from meerkat_mob.llm.failures import OBSTACLE, Obstacle

_THE_BROWSER_S: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "user-agent"}
)
"""Headers that a page may not set, or that servers would have to allow for nothing."""

_LOOKING_S: Final = 3.0
"""How long we look for what stood in the way."""

_DECODED: Final = frozenset({"content-encoding", "content-length"})
"""What the browser has dealt with before we see the body."""


class PageFetch(httpx2.AsyncBaseTransport):
    """See ``httpx2.AsyncBaseTransport``: one request, one ``fetch``."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends it and returns with the head of the answer.

        Raises ``httpx2.ConnectError``; what stood in the way is in the request's extensions.
        """
        controller = js.AbortController.new()
        options = {
            "method": request.method,
            "headers": {k: v for k, v in request.headers.items() if k not in _THE_BROWSER_S},
            "body": to_js(await request.aread()),
            "signal": controller.signal,
        }
        try:
            answer = await js.fetch(str(request.url), _object(options))
        except JsException as fault:
            request.extensions[OBSTACLE] = await _obstacle(str(request.url))
            raise httpx2.ConnectError(str(fault), request=request) from fault
        except BaseException:
            controller.abort()
            raise
        headers = {k: v for k, v in dict(answer.headers.entries()).items() if k not in _DECODED}
        return httpx2.Response(answer.status, headers=headers, stream=_Body(answer, controller))


async def _obstacle(url: str) -> Obstacle:
    """Asks once more for an answer that nobody may read: whoever gives it is there."""
    if is_mixed(str(getattr(js, "origin", "")), url):
        return "mixed"
    controller = js.AbortController.new()
    unread = {"mode": "no-cors", "credentials": "omit", "signal": controller.signal}
    try:
        async with asyncio.timeout(_LOOKING_S):
            await js.fetch(url, _object(unread))
    except JsException:
        return "silent"
    except TimeoutError:
        return "unknown"
    finally:
        controller.abort()
    return "cors"


class _Body(httpx2.AsyncByteStream):
    """The body, in the pieces the browser hands out."""

    def __init__(self, answer: Any, controller: Any) -> None:
        self._answer, self._controller = answer, controller

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._answer.body:
            return
        reader = self._answer.body.getReader()
        while True:
            try:
                piece = await reader.read()
            except JsException as fault:
                raise httpx2.ReadError(str(fault)) from fault
            if piece.done:
                return
            yield piece.value.to_bytes()

    async def aclose(self) -> None:
        """Hangs up; after the end of an answer that does nothing."""
        self._controller.abort()


def _object(options: Mapping[str, Any]) -> Any:
    """A plain JavaScript object, with those inside it."""
    return to_js(options, dict_converter=js.Object.fromEntries)
