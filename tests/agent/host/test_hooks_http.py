"""Hooks that are servers: what they are sent, and everything they can do wrong (HK-7)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meerkat_mob.agent.configured_hooks import hooks_of
from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.agent.http_hook import http_hook
from meerkat_mob.core.events import AgentEvent, HookFailed
from meerkat_mob.core.hook_config import layered, read_hooks
from meerkat_mob.core.hook_wire import encode_call
from meerkat_mob.core.hooks import PAYLOAD_MAX_BYTES, Deny, Hook, HookCall, RunResultPatch
from meerkat_mob.errors import HookExecutionFailed, InvalidParams
from meerkat_mob.testing.builders import the_loop_s_clock
from tests.agent.kit import a_bench
from tests.llm.loopback_server import (
    Answer,
    Asked,
    breaking_off,
    head,
    piece,
    saying_nothing,
    serving,
    whole,
)

pytestmark = pytest.mark.loopback

END = HookCall(point="run_completed", session_id="s", text="done")
KIND = "application/json"
CHANGED = '{"patches": [{"patch_type": "run_result", "text": "changed"}]}'


def a_hook(address: str, *, limit: int = PAYLOAD_MAX_BYTES) -> Hook:
    return http_hook(
        id="h",
        point="run_completed",
        url=f"{address}/hook?a=b",
        headers={"authorization": "Bearer x"},
        payload_max_bytes=limit,
        capability="rewrite",
    )


async def failure_of(answer: Answer, *, limit: int = PAYLOAD_MAX_BYTES) -> str:
    async with serving(answer) as server:
        with pytest.raises(HookExecutionFailed) as failed:
            await a_hook(server.address, limit=limit).run(END)
    return str(failed.value)


async def test_a_server_gets_the_call_and_its_answer_is_applied() -> None:
    async with serving(whole(200, KIND, CHANGED)) as server:
        bench = a_bench(["done"], hooks=[a_hook(server.address)])
        assert (await bench.agent.run("go")).text == "changed"
    (asked,) = server.asked
    told = msgspec.structs.replace(END, turn_number=0)
    assert (asked.method, asked.path) == ("POST", "/hook?a=b")
    assert asked.body == encode_call(told, limit=PAYLOAD_MAX_BYTES)
    assert asked.headers["content-type"] == KIND
    assert asked.headers["authorization"] == "Bearer x"


@pytest.mark.parametrize("status", [200, 201, 299])
async def test_a_server_can_deny(status: int) -> None:
    deny = '{"decision": {"decision": "deny", "message": "no"}}'
    async with serving(whole(status, KIND, deny)) as server:
        assert await a_hook(server.address).run(END) == Deny(message="no")


async def test_an_observer_s_server_may_say_nothing() -> None:
    async with serving(whole(204, KIND, "")) as server:
        hook = http_hook(id="h", point="run_completed", url=server.address)
        assert await hook.run(END) is None


async def test_a_configured_server_is_asked_as_configured() -> None:
    async with serving(whole(200, KIND, CHANGED)) as server:
        config = {"url": server.address, "method": "PUT", "headers": {"x-team": "a"}}
        entry = {
            "id": "h",
            "point": "run_completed",
            "capability": "rewrite",
            "runtime": {"type": "http", "config": config},
        }
        (hook,) = hooks_of(layered(read_hooks({"entries": [entry]})))
        assert await hook.run(END) == (RunResultPatch(text="changed"),)
    (asked,) = server.asked
    assert (asked.method, asked.headers["x-team"]) == ("PUT", "a")


async def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(whole(200, KIND, CHANGED)) as server:
        assert await a_hook(server.address).run(END) == (RunResultPatch(text="changed"),)


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_bad_status_is_told_with_the_first_words(status: int) -> None:
    told = await failure_of(whole(status, "text/plain", "so " * 9000, "location: /elsewhere"))
    assert f"the server 127.0.0.1 answered {status}: so so" in told
    assert len(told) < 2200


async def test_rubbish_is_told_with_the_place() -> None:
    assert "this is not JSON" in await failure_of(whole(200, KIND, "rubbish"))
    assert "answer.patchs: unknown key" in await failure_of(whole(200, KIND, '{"patchs": []}'))


async def test_no_more_is_read_than_may_be_answered() -> None:
    async def without_end(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, KIND))
        while True:
            writer.write(piece(b" " * 1000))
            await writer.drain()

    assert "answered more than 2000 bytes" in await failure_of(without_end, limit=2000)


async def test_more_than_it_may_be_told_is_not_sent() -> None:
    async with serving(whole(200, KIND, CHANGED)) as server:
        with pytest.raises(HookExecutionFailed, match="may be told 50"):
            await a_hook(server.address, limit=50).run(END)
    assert server.asked == []


async def test_a_connection_that_breaks_or_is_refused_is_told() -> None:
    assert "was not heard" in await failure_of(breaking_off(b"{"))
    async with serving(saying_nothing) as server:
        address = server.address
    with pytest.raises(HookExecutionFailed, match="was not heard"):
        await a_hook(address).run(END)


async def test_one_that_is_silent_is_cut_off_by_the_hook_s_limit_and_hung_up_on() -> None:
    said: list[AgentEvent] = []
    async with serving(saying_nothing) as server:
        hook = msgspec.structs.replace(a_hook(server.address), timeout_ms=300)
        denied = await Hooks([hook], emit=said.append, clock=the_loop_s_clock).ask(END)
        assert denied is not None
        assert denied.reason_code == "timeout"
        await server.hung_up.wait()
    assert [e.error for e in said if isinstance(e, HookFailed)] == ["it took longer than 300 ms"]


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://localhost/", "http://", "\n"])
async def test_what_is_no_url_is_refused_when_the_hook_is_made(url: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        http_hook(id="h", point="run_completed", url=url)
    assert refused.value.path == "hooks.h.url"
