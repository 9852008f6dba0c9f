"""Messages between a page and the Python in its worker: requests in, replies and events out.

All of them are JSON texts. Calls run side by side, each in a task that is awaited at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from meerkat_mob.surfaces.rpc import Notification, answer, encode_line
from meerkat_mob.surfaces.worker.desk import Desk


class Bridge:
    """One page. ``post`` sends it a text; the page's event loop takes any number of them."""

    def __init__(
        self, post: Callable[[str], None], *, load_http: Callable[[], Awaitable[None]]
    ) -> None:
        self._post = post
        self.desk: Final = Desk(self._notify, load_http=load_http)
        self._calls: set[asyncio.Task[None]] = set()

    def receive(self, text: str) -> None:
        """Begins to do what a request asks for; the reply is posted when it is done."""
        task = asyncio.create_task(self._answer(text), name="a call of the page")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, text: str) -> None:
        self._post(encode_line(await answer(self.desk.dispatch, text)))

    async def _notify(self, notification: Notification) -> None:
        self._post(encode_line(notification))

    async def aclose(self) -> None:
        """Ends the team; calls that wait for it are answered first. Idempotent."""
        await self.desk.aclose()
        while self._calls:
            await asyncio.wait(tuple(self._calls))
