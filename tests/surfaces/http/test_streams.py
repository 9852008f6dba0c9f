"""Answers piece by piece, and what becomes of them when somebody hangs up on either side."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from meerkat_mob.llm import HttpLlm
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.surfaces.http.proxy import Note
from tests.llm.every_dialect import EVERY, events_in
from tests.llm.kit import asking, failure_of
from tests.llm.loopback_server import (
    Asked,
    breaking_off,
    delta,
    head,
    piece,
    saying_nothing,
    serving,
)
from tests.surfaces.http.kit import BASES, MODELS, asked, at, proxying

pytestmark = pytest.mark.loopback


async def test_each_piece_passes_before_the_next_is_said() -> None:
    heard = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(b"data: one\n\n"))
        await heard.wait()
        writer.write(piece(b"data: two\n\n") + piece(b""))

    async with serving(answer) as server, proxying(at(server.address)) as it:
        url = f"{it.address}/openai/responses"
        async with httpx2.AsyncClient() as client, client.stream("POST", url, content=b"{}") as got:
            pieces = got.aiter_raw()
            assert await anext(pieces) == b"data: one\n\n"
            heard.set()
            assert b"".join([rest async for rest in pieces]) == b"data: two\n\n"


@pytest.mark.parametrize("begun", [False, True])
async def test_who_hangs_up_on_the_proxy_hangs_up_on_the_provider(begun: bool) -> None:
    reached, heard = asyncio.Event(), asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        reached.set()
        if begun:
            writer.write(head() + piece(delta(content="Hel")))
        await saying_nothing(asked, writer)

    async with serving(answer) as server, proxying(at(server.address)) as it:
        client = HttpLlm(f"{it.address}/openai")

        async def listen() -> None:
            async for _ in client.stream(asking("hi")):
                heard.set()

        task = asyncio.create_task(listen())
        await (heard if begun else reached).wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.hung_up.wait()
        note = await it.note()
        await client.aclose()
    assert (note.status, note.whole) == (200 if begun else None, False)


async def test_who_leaves_in_the_middle_of_its_own_request_asks_nobody() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        _, writer = await asyncio.open_connection("127.0.0.1", int(it.address[17:]))
        lines = ("POST /openai/responses HTTP/1.1", "host: localhost", "content-length: 9")
        writer.write(("\r\n".join(lines) + "\r\n\r\n{").encode())
        await writer.drain()
        writer.close()
        note = await it.note()
    assert note == Note(
        method="POST", path="/openai/responses", status=None, whole=False, ms=note.ms
    )
    assert server.asked == []


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_breaks_off_there_breaks_off_here(
    dialect: DialectName, reset: bool
) -> None:
    broken = breaking_off(events_in(dialect)[0], reset=reset)
    async with serving(broken) as server, proxying(at(server.address)) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
        note = await it.note()
    assert "the connection broke before the answer was complete" in str(error)
    assert error.retryable
    assert (note.status, note.whole) == (200, False)


async def test_an_answer_that_is_shorter_than_it_said_is_cut_off_too() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with serving(answer) as server, proxying(at(server.address)) as it:
        with pytest.raises(httpx2.RemoteProtocolError):
            await asked(f"{it.address}/openai/responses")


async def test_the_end_of_the_proxy_is_no_good_end_of_an_answer() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(b"data: one\n\n"))
        await saying_nothing(asked, writer)

    async with serving(answer) as server, httpx2.AsyncClient() as client:
        async with proxying(at(server.address)) as it:
            request = client.build_request("POST", f"{it.address}/openai/responses", content=b"{}")
            got = await client.send(request, stream=True)
            pieces = got.aiter_raw()
            await anext(pieces)
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(pieces)
        await server.hung_up.wait()
