"""Servers come, go, break and come back, and nobody who calls a tool is left without an answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import msgspec
import pytest

from meerkat_mob.agent.mcp import Mcp, McpLimits, McpServers
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, ToolProvenance
from meerkat_mob.errors import InvalidParams
from meerkat_mob.mob.definition.model import McpServer
from tests.agent.host.mcp.kit import TIME, call, connected, names, ours, over_http

pytestmark = [pytest.mark.native_only, pytest.mark.loopback]

QUICK = McpLimits(pause=0.05, attempts=2, drain=0.2, call=5)


def error_of(outcome: ToolOutcome) -> str:
    assert outcome.is_error
    return str(cast("dict[str, Json]", msgspec.json.decode(str(outcome.content)))["error"])


async def until(servers: McpServers, name: str, status: str) -> None:
    async with asyncio.timeout(30):
        while servers.states[name].status != status:
            await asyncio.sleep(0.01)


# -- what a call gives ----------------------------------------------------------------------------


async def test_the_tools_of_a_server_that_others_wrote_can_be_called() -> None:
    async with connected(clock=TIME) as servers:
        box = servers.toolbox("clock")
        assert names(box) == ["get_current_time", "convert_time"]
        told = await call(box, "get_current_time", timezone="Europe/Berlin")
        assert not told.is_error
        assert '"timezone": "Europe/Berlin"' in str(told.content)
        refused = await call(box, "get_current_time", timezone="Nowhere")
        assert refused.is_error
        assert "Nowhere" in str(refused.content)
        origin = box.tools[0].definition.provenance
        assert origin == ToolProvenance(kind="mcp", source_id="clock")
    assert names(box) == []


async def test_every_kind_of_result_reaches_the_model() -> None:
    async with connected(s=ours()) as servers:
        box = servers.toolbox("s")
        assert (await call(box, "echo", text="hé\n\u2028")).content == "hé\n\u2028"
        dot = (await call(box, "picture")).content
        assert [type(block) for block in dot] == [TextBlock, ImageBlock]
        assert (await call(box, "link")).content == "[notes: file:///notes.txt]"
        counted = msgspec.json.decode(str((await call(box, "count_words", text="a b")).content))
        assert counted == {"words": 2}


async def test_a_tool_that_goes_wrong_says_why() -> None:
    async with connected(s=ours()) as servers:
        box = servers.toolbox("s")
        failed = await call(box, "fail", why="no such record")
        assert error_of(failed) == "tool_error"
        assert "no such record" in str(failed.content)
        assert (await call(box, "echo", wrong=1)).is_error
        assert (await call(box, "echo", text="still there")).content == "still there"


async def test_a_program_has_what_it_was_given_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    async with connected(s=ours(TEAM="red")) as servers:
        box = servers.toolbox("s")
        assert (await call(box, "variable", name="TEAM")).content == "red"
        assert (await call(box, "variable", name="OPENAI_API_KEY")).content == "(none)"


async def test_a_call_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    async with connected(McpLimits(call=0.3, drain=0), s=ours()) as servers:
        box = servers.toolbox("s")
        outcome = await call(box, "wait_for", path=str(tmp_path / "never"))
        assert error_of(outcome) == "timeout"
        assert outcome.timed_out_ms == 300
        assert (await call(box, "echo", text="next")).content == "next"


async def test_a_call_that_is_cancelled_leaves_the_server_to_others(tmp_path: Path) -> None:
    async with connected(QUICK, s=ours()) as servers:
        box = servers.toolbox("s")
        waiting = asyncio.create_task(call(box, "wait_for", path=str(tmp_path / "never")))
        async with asyncio.timeout(30):
            while not (tmp_path / "never.begun").exists():
                await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await call(box, "echo", text="next")).content == "next"


# -- how servers come and go ----------------------------------------------------------------------


async def test_nobody_waits_for_servers() -> None:
    async with Mcp().servers({"a": ours(), "b": ours("silent")}) as servers:
        assert {state.status for state in servers.states.values()} == {"pending"}
        assert servers.toolbox("a").sources == {"a": "pending"}
        await until(servers, "a", "connected")
        assert servers.states["b"].status == "pending"
        assert servers.toolbox("a").sources == {"a": "connected"}


async def test_a_server_that_never_answers_is_given_up() -> None:
    limits = McpLimits(connect=0.3, pause=0.01, attempts=2)
    async with connected(limits, s=ours("silent")) as servers:
        state = servers.states["s"]
        assert state.status == "failed"
        assert "within 0.3 s" in state.reason
        assert servers.toolbox("s").sources == {"s": "failed"}


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (McpServer(command=("/no/such/program",)), "No such file"),
        (
            McpServer(command=(sys.executable, "-c", "import sys; sys.exit('no licence')")),
            "licence",
        ),
        (McpServer(url="http://127.0.0.1:9/mcp"), ""),
    ],
)
async def test_a_server_that_is_none_says_why(server: McpServer, told: str) -> None:
    async with connected(QUICK, s=server) as servers:
        assert servers.states["s"].status == "failed"
        assert told in servers.states["s"].reason
        assert servers.states["s"].reason


async def test_a_server_that_dies_is_connected_again() -> None:
    async with connected(McpLimits(pause=0.3), s=ours()) as servers:
        box = servers.toolbox("s")
        before = box.tools[0]
        died = await call(box, "die")
        assert error_of(died) == "outcome_unknown"
        await until(servers, "s", "pending")
        assert "out of order" in servers.states["s"].reason
        assert names(box) == []
        raw = msgspec.Raw(b'{"text": "x"}')
        gone = await before.execute(ToolCall(id="c", name="echo", args=raw))
        assert isinstance(gone, ToolOutcome)
        assert error_of(gone) == "tool_unavailable"
        await until(servers, "s", "connected")
        assert (await call(box, "echo", text="again")).content == "again"


async def test_a_server_that_learns_is_asked_again() -> None:
    async with connected(s=ours()) as servers:
        box = servers.toolbox("s")
        before = {tool.definition.name: tool for tool in box.tools}
        await call(box, "learn", name="greet")
        async with asyncio.timeout(30):
            while "greet" not in names(box):
                await asyncio.sleep(0.01)
        assert (await call(box, "greet", text="hello")).content == "greet: hello"
        assert all(tool is before[n] for tool in box.tools if (n := tool.definition.name) in before)


async def test_one_that_is_removed_finishes_its_calls_first(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with connected(McpLimits(drain=30), s=ours()) as servers:
        box = servers.toolbox("s")
        waiting = asyncio.create_task(call(box, "wait_for", path=str(go)))
        async with asyncio.timeout(30):
            while not go.with_suffix(".begun").exists():
                await asyncio.sleep(0.01)
        removing = asyncio.create_task(servers.remove("s"))
        await asyncio.sleep(0)
        assert (names(box), dict(box.sources), servers.states) == ([], {}, {})
        assert not waiting.done()
        go.touch()
        assert (await waiting).content == "waited"
        await removing


async def test_one_that_does_not_finish_is_ended_all_the_same(tmp_path: Path) -> None:
    async with connected(QUICK, s=ours()) as servers:
        box = servers.toolbox("s")
        waiting = asyncio.create_task(call(box, "wait_for", path=str(tmp_path / "never")))
        async with asyncio.timeout(30):
            while not (tmp_path / "never.begun").exists():
                await asyncio.sleep(0.01)
        await servers.remove("s")
        assert error_of(await waiting) == "outcome_unknown"


async def test_one_can_be_added_later_to_a_toolbox_of_somebody_else() -> None:
    async def nothing(_: object) -> ToolOutcome:
        return ToolOutcome(content="mine")

    mine = Tool(definition=ToolDef(name="echo", description="", input_schema={}), execute=nothing)
    box = Toolbox([mine])
    async with connected(QUICK) as servers:
        servers.add("s", ours("bad-names"), toolbox=box)
        await servers.settled()
        state = servers.states["s"]
        assert state.status == "connected"
        assert set(state.left_out) == {"a.b", "echo"}
        assert "variable" in names(box)
        assert (await call(box, "echo", text="x")).content == "mine"
        await servers.remove("s")
        assert names(box) == ["echo"]


async def test_stopped_servers_can_be_started_again() -> None:
    async with connected(s=ours()) as servers:
        await servers.stop()
        assert servers.states["s"].status == "stopped"
        servers.start()
        await servers.settled()
        assert (await call(servers.toolbox("s"), "echo", text="x")).content == "x"


# -- over HTTP ------------------------------------------------------------------------------------


async def test_a_server_is_reached_over_http() -> None:
    async with over_http() as (server, _), connected(QUICK, s=server) as servers:
        box = servers.toolbox("s")
        assert (await call(box, "echo", text="over")).content == "over"
        assert error_of(await call(box, "fail", why="x")) == "tool_error"
        await call(box, "learn", name="greet")
        async with asyncio.timeout(30):
            while "greet" not in names(box):
                await asyncio.sleep(0.01)


async def test_a_server_over_http_that_is_killed_fails_its_calls() -> None:
    async with over_http() as (server, process), connected(QUICK, s=server) as servers:
        box = servers.toolbox("s")
        process.kill()
        await process.wait()
        outcome = await call(box, "echo", text="x") if "echo" in names(box) else None
        assert outcome is None or outcome.is_error
        await until(servers, "s", "failed")
        assert names(box) == []


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server",
    [
        McpServer(),
        McpServer(command=("a",), url="http://x/"),
        McpServer(url="ftp://x/"),
        McpServer(url="http://"),
        McpServer(url="http://x/", env={"A": "b"}),
    ],
)
async def test_an_entry_that_names_no_server_is_refused(server: McpServer) -> None:
    with pytest.raises(InvalidParams, match=r"mcp_servers\.s"):
        Mcp().servers({"s": server})


async def test_names_are_those_there_are() -> None:
    async with connected(QUICK) as servers:
        servers.add("s", McpServer(command=("/no/such/program",)))
        with pytest.raises(InvalidParams, match="there is a server 's'"):
            servers.add("s", ours())
        with pytest.raises(InvalidParams, match="no server 't'"):
            await servers.remove("t")


def test_limits_are_checked() -> None:
    with pytest.raises(InvalidParams, match="limits"):
        Mcp(limits=McpLimits(attempts=0))
