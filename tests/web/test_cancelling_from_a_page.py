"""A model call that a page cancels ends on the wire too, before its answer began and within it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

import pytest

from tests.llm.loopback_server import (
    END,
    STREAM,
    Asked,
    delta,
    head,
    piece,
    saying_nothing,
    serving,
)
from tests.surfaces.cli.proxy_process import running

pytestmark = pytest.mark.loopback

PATIENCE_S = 10.0
CORS = ("access-control-allow-origin: *", "access-control-allow-headers: *")

CANCEL = """
import asyncio
from contextlib import suppress
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.llm import LlmRequest, HttpLlm
from pyodide.http import pyfetch

async def cancel(address, asked_at):
    client = HttpLlm(asked_at)
    request = LlmRequest(model="m", messages=[UserMessage(content="hi")])
    heard = asyncio.Event()

    async def listen():
        async for _ in client.stream(request):
            heard.set()

    task = asyncio.create_task(listen())
    await pyfetch(address + "/asked")
    if {begun}:
        await heard.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await client.aclose()

await cancel({address!r}, {asked_at!r})
"""


class Beside:
    """A server in a thread of its own, whose story ends when somebody hangs up on it."""

    def __init__(self, *, begun: bool) -> None:
        self._begun = begun
        self._ready = Event()
        self._thread = Thread(target=asyncio.run, args=(self._serve(),))
        self.address = ""
        self.hung_up = False

    async def _serve(self) -> None:
        self._asked = asyncio.Event()
        async with serving(self._answer) as server:
            self.address = server.address
            self._ready.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    self.hung_up = await server.hung_up.wait()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.method == "POST":
            self._asked.set()
            if self._begun:
                writer.write(head(200, STREAM, *CORS) + piece(delta(content="one")))
            await saying_nothing(asked, writer)
        if asked.method == "GET":
            await self._asked.wait()
        writer.write(head(200, "text/plain", *CORS) + END)

    def __enter__(self) -> str:
        self._thread.start()
        self._ready.wait()
        return self.address

    def wait(self) -> None:
        """Until its story has ended, the one way or the other."""
        self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.wait()


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_call_is_cut_off_on_the_wire(python: Callable[[str], str], begun: bool) -> None:
    beside = Beside(begun=begun)
    with beside as server:
        python(CANCEL.format(address=server, asked_at=server, begun=begun))
    assert beside.hung_up, "the server still had a listener"


@pytest.mark.parametrize("begun", [False, True])
def test_it_is_cut_off_behind_a_proxy_too(
    python: Callable[[str], str], address: str, begun: bool
) -> None:
    beside = Beside(begun=begun)
    with (
        beside as server,
        running("--origin", address, env={"OPENAI_BASE_URL": server}) as proxy,
    ):
        asked_at = f"{proxy.address}/openai/chat/completions"
        python(CANCEL.format(address=server, asked_at=asked_at, begun=begun))
        beside.wait()
    assert beside.hung_up, "the server still had a listener"
