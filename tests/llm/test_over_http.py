"""The client against real sockets: streaming, and everything that a server can do wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing

import msgspec
import pytest

from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import CapabilityUnavailable, LlmFailed, LlmUnreachable
from meerkat_mob.llm import (
    HttpLlm,
    LlmDone,
    LlmRequest,
    LlmTextDelta,
)
from tests.llm.kit import answer_of, asking, calls_in, events_of, failure_of, text_in
from tests.llm.loopback_server import (
    STREAM,
    Answer,
    Asked,
    breaking_off,
    delta,
    event,
    head,
    piece,
    saying,
    saying_nothing,
    serving,
    whole,
)

pytestmark = pytest.mark.loopback

DONE = (delta("stop"), event("[DONE]"))
HELLO = saying(delta(content="Hello"), delta(content=" there"), *DONE)


async def failing(answer: Answer, request: LlmRequest | None = None) -> LlmFailed:
    """What a call to such a server ends with; the client is usable and closed in order."""
    async with serving(answer) as server:
        client = HttpLlm(server.address, request_s=20)
        try:
            return await failure_of(client, request or asking("hi"))
        finally:
            await client.aclose()


async def test_an_answer_with_tool_calls_and_usage_is_streamed() -> None:
    def call(index: int, args: str, **more: str) -> bytes:
        named = {"name": more["name"]} if "name" in more else {}
        ids = {"id": more["id"]} if "id" in more else {}
        function = {"arguments": args, **named}
        return delta(tool_calls=[{"index": index, "type": "function", "function": function, **ids}])

    usage = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
    pieces = (
        delta(role="assistant", content="Looking"),
        call(0, "", id="a", name="look"),
        call(0, '{"at":'),
        call(1, "{}", id="b", name="wait"),
        call(0, '"é"}'),
        delta("tool_calls"),
        usage,
        event("[DONE]"),
    )
    async with serving(saying(*pieces)) as server:
        client = HttpLlm(server.address)
        answer = await answer_of(client, asking("hi", tools=["look", "wait"]))
        await client.aclose()
    assert (text_in(answer), calls_in(answer)) == (
        "Looking",
        [("look", '{"at":"é"}'), ("wait", "{}")],
    )
    assert (answer.stop_reason, answer.usage) == (
        "tool_use",
        Usage(input_tokens=9, output_tokens=4),
    )
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept"] == STREAM
    assert msgspec.json.decode(asked.body)["stream"] is True


@pytest.mark.parametrize(("key", "header"), [("sk-1\n", "Bearer sk-1"), (None, None), ("", None)])
async def test_a_key_is_sent_when_there_is_one(key: str | None, header: str | None) -> None:
    async with serving(HELLO) as server:
        client = HttpLlm(server.address, api_key=key)
        await answer_of(client, asking("hi"))
        await client.aclose()
    assert server.asked[0].headers.get("authorization") == header


async def test_words_arrive_while_the_server_is_still_speaking() -> None:
    heard = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(delta(content="one")))
        await heard.wait()
        writer.write(piece(b"".join(DONE)) + piece(b""))

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        async with aclosing(client.stream(asking("hi"))) as events:
            async for one in events:
                if one == LlmTextDelta(delta="one"):
                    heard.set()
        await client.aclose()
    assert heard.is_set()


async def test_any_cut_of_the_bytes_gives_the_same_answer() -> None:
    stream = b": hello\r\n\r\n" + delta(content="naïve 漢字 😀") + b"".join(DONE)
    async with serving(saying(*(bytes([byte]) for byte in stream))) as server:
        client = HttpLlm(server.address)
        assert text_in(await answer_of(client, asking("hi"))) == "naïve 漢字 😀"
        await client.aclose()


async def test_a_server_may_promise_to_keep_a_connection_and_close_it() -> None:
    """Some do, llama.cpp for one: each call over plain http has a connection of its own."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await HELLO(asked, writer)
        writer.close()

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        for _ in range(20):
            assert text_in(await answer_of(client, asking("hi"))) == "Hello there"
        await client.aclose()
    assert server.connections == 20


async def test_a_hundred_and_fifty_members_think_at_once() -> None:
    """No pool of connections makes one member wait for another."""
    waiting = 150
    all_here = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(server.asked) == waiting:
            all_here.set()
        await all_here.wait()
        await HELLO(asked, writer)

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        answers = await asyncio.gather(*(answer_of(client, asking("hi")) for _ in range(waiting)))
        await client.aclose()
    assert {text_in(one) for one in answers} == {"Hello there"}


async def test_a_closed_client_can_be_used_again() -> None:
    async with serving(HELLO) as server:
        client = HttpLlm(server.address)
        await client.aclose()
        await answer_of(client, asking("hi"))
        await client.aclose()


async def test_a_server_that_does_not_stream_is_understood() -> None:
    choice = {"index": 0, "message": {"content": "whole"}, "finish_reason": "stop"}
    body = msgspec.json.encode({"choices": [choice]}).decode()
    async with serving(whole(200, "application/json; charset=utf-8", body)) as server:
        client = HttpLlm(server.address)
        assert text_in(await answer_of(client, asking("hi"))) == "whole"
        await client.aclose()


# -- what goes wrong -----------------------------------------------------------------------------


async def test_an_error_status_is_explained_with_the_servers_own_words() -> None:
    body = '{"error":{"message":"slow down","type":"requests"}}'
    error = await failing(whole(429, "application/json", body, "retry-after: 0.5"))
    assert (error.reason, error.retryable, error.retry_after_ms) == ("rate_limited", True, 500)
    assert "slow down" in str(error)


async def test_an_error_of_enormous_length_is_not_read_to_its_end() -> None:
    error = await failing(whole(500, "text/plain", "x" * 3_000_000))
    assert len(str(error)) < 600


@pytest.mark.parametrize("status", [200, 404, 502])
async def test_a_web_page_is_told_as_one(status: int) -> None:
    error = await failing(whole(status, "text/html", "<!doctype html><html>Welcome</html>"))
    assert isinstance(error, LlmUnreachable)
    assert "a web page, not as a model server" in str(error)


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("text/plain", "hello", "answered with text/plain, not as a model server: hello"),
        ("application/json", '{"detail":"Not Found"}', "not as a model server: Not Found"),
        ("application/json", '{"error":"model is loading"}', "model is loading"),
        ("application/json", "", "what cannot be read"),
        (STREAM, "", "incomplete response"),
    ],
)
async def test_what_is_no_answer_is_shown(kind: str, body: str, told: str) -> None:
    error = await failing(whole(200, kind, body))
    assert told in str(error)
    assert not error.retryable


async def test_a_redirect_is_told_and_not_followed() -> None:
    error = await failing(whole(301, "text/plain", "", "location: http://elsewhere/"))
    assert "a redirect" in str(error)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_breaks_may_be_tried_again(reset: bool) -> None:
    error = await failing(breaking_off(delta(content="Hel"), reset=reset))
    assert isinstance(error, LlmUnreachable)
    assert "the connection broke before the answer was complete" in str(error)
    assert error.retryable


async def test_a_connection_closed_before_any_answer_may_be_tried_again() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    error = await failing(answer)
    assert "the connection broke" in str(error)
    assert error.retryable


async def test_a_stream_that_stops_in_good_order_is_incomplete() -> None:
    error = await failing(saying(delta(content="Hel")))
    assert "incomplete response" in str(error)
    assert not error.retryable


async def test_words_before_a_failure_were_heard() -> None:
    async with serving(breaking_off(delta(content="Hel"))) as server:
        client = HttpLlm(server.address)
        events = await events_of(client.stream(asking("hi")))
        await client.aclose()
    assert events[0] == LlmTextDelta(delta="Hel")
    assert isinstance(events[-1], LlmDone)


async def test_an_error_in_the_middle_is_the_servers_own() -> None:
    error = await failing(
        saying(delta(content="Hel"), event({"error": {"message": "out of memory", "code": 500}}))
    )
    assert "out of memory" in str(error)
    assert error.retryable


async def test_nonsense_in_the_middle_is_shown() -> None:
    assert "{not json" in str(await failing(saying(event("{not json"), *DONE)))


async def test_nobody_there_is_told_with_the_address() -> None:
    async with serving(HELLO) as server:
        gone = server.address
    client = HttpLlm(gone)
    error = await failure_of(client, asking("hi"))
    await client.aclose()
    assert isinstance(error, LlmUnreachable)
    assert gone in str(error)
    assert "nothing answers there" in str(error)
    assert not error.retryable


async def test_https_to_a_server_without_it_is_told() -> None:
    async with serving(HELLO) as server:
        client = HttpLlm(server.address.replace("http", "https"))
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert "http or https" in str(error)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_server_that_falls_silent_has_a_limit(begun: bool) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if begun:
            writer.write(head() + piece(delta(content="Hel")))
        await saying_nothing(asked, writer)

    async with serving(answer) as server:
        client = HttpLlm(server.address, request_s=0.3)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert (error.reason, error.retryable) == ("network_timeout", True)
    assert "within 0.3 s" in str(error)


async def test_a_cancelled_call_is_cut_off_on_the_wire() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(delta(content="Hel")))
        await saying_nothing(asked, writer)

    heard = asyncio.Event()

    async def listen(client: HttpLlm) -> None:
        async for _ in client.stream(asking("hi")):
            heard.set()

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        task = asyncio.create_task(listen(client))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.hung_up.wait()
        await client.aclose()


async def test_a_call_that_is_left_early_is_cut_off_on_the_wire() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(delta(content="Hel")))
        await saying_nothing(asked, writer)

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        async with aclosing(client.stream(asking("hi"))) as events:
            await anext(events)
        await server.hung_up.wait()
        await client.aclose()


async def test_a_server_that_keeps_the_line_open_after_the_end_is_left() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(delta(content="x")) + piece(b"".join(DONE)))
        await saying_nothing(asked, writer)

    async with serving(answer) as server:
        client = HttpLlm(server.address)
        assert text_in(await answer_of(client, asking("hi"))) == "x"
        await client.aclose()


# -- the surroundings ----------------------------------------------------------------------------


async def test_no_proxy_stands_before_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with serving(HELLO) as server:
        client = HttpLlm(server.address)
        assert text_in(await answer_of(client, asking("hi"))) == "Hello there"
        await client.aclose()


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = HttpLlm("http://192.0.2.1/v1")  # never reached
    error = await failure_of(client, asking("hi"))
    assert "ALL_PROXY" in str(error)


def test_without_httpx2_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "meerkat_mob.llm.transport", raising=False)
    with pytest.raises(CapabilityUnavailable) as caught:
        HttpLlm("http://localhost:11434")
    assert "pip install meerkat-mob[http]" in str(caught.value)


def test_nothing_loads_httpx2_before_a_client_is_opened() -> None:
    program = (
        "import sys, meerkat_mob, meerkat_mob.llm as llm\n"
        "llm.open_client(llm.choose('scripted'))\n"
        "assert 'httpx2' not in sys.modules\n"
        "llm.open_client(llm.choose('x', base_url='http://localhost'))\n"
        "assert 'httpx2' in sys.modules\n"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)
