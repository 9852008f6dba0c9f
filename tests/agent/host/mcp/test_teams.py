"""Servers that a definition names: who has their tools, and how they live with their mob."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from meerkat_mob import Mob, open_realm
from meerkat_mob.agent.mcp import Mcp, McpLimits, McpStatus
from meerkat_mob.core.content import text_of
from meerkat_mob.core.events import AgentEvent, ToolConfigChanged
from meerkat_mob.core.messages import ToolResults, text_of_message
from meerkat_mob.errors import CapabilityUnavailable
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.mob.definition import MobDefinition, ToolConfig
from meerkat_mob.mob.definition.model import McpServer
from meerkat_mob.mob.facts import CapabilityMissing
from tests.agent.host.mcp.kit import TIME, ours
from tests.mob.teams import a_profile, a_team

pytestmark = [pytest.mark.native_only, pytest.mark.loopback]

KEEPER = ToolConfig(comms=True, mcp=("clock", "own"))


def the_team(**servers: McpServer) -> MobDefinition:
    tools = {"keeper": KEEPER, "other": ToolConfig(comms=True)}
    profiles = {name: a_profile(tools=given) for name, given in tools.items()}
    team = a_team(*tools, profiles=profiles)
    found = servers or {"clock": TIME, "own": ours()}
    return msgspec.structs.replace(team, mcp_servers=found)


def statuses(mob: Mob) -> dict[str, McpStatus]:
    return {name: state.status for name, state in mob.mcp_servers.states.items()}


def names_in(llm: ScriptedLlm) -> set[str]:
    return {tool.name for tool in llm.requests[-1].tools}


async def test_a_team_asks_a_server_that_others_wrote() -> None:
    asks = call("get_current_time", timezone="Asia/Tokyo")
    llm = ScriptedLlm({"keeper": [asks, "It is late."], "other": ["Hm."]})
    async with open_realm(llm=llm, mcp=Mcp()) as realm:
        mob = await realm.create_mob(the_team())
        await mob.mcp_servers.settled()
        keeper, other = await mob.spawn("keeper", "k"), await mob.spawn("other", "o")
        assert await keeper.ask("What time is it?") == "It is late."
        assert {"get_current_time", "echo"} <= names_in(llm)
        (results,) = [m for m in llm.requests[-1].messages if isinstance(m, ToolResults)]
        assert "Asia/Tokyo" in text_of(results.results[0].content)
        await other.ask("And you?")
        assert not {"get_current_time", "echo"} & names_in(llm)


async def test_a_member_is_told_of_servers_that_come_and_go() -> None:
    llm = ScriptedLlm({"keeper": ["One.", "Two.", "Three."]})
    async with open_realm(llm=llm, mcp=Mcp(limits=McpLimits(drain=0))) as realm:
        mob = await realm.create_mob(the_team(clock=TIME, own=ours()))
        keeper = await mob.spawn("keeper", "k")
        seen = list[AgentEvent]()
        realm.sessions.watch_session_events(keeper.session_id, lambda e: seen.append(e.payload))
        await keeper.ask("one")
        assert "Still connecting: clock, own" in text_of_message(llm.requests[0].messages[-1])
        await mob.mcp_servers.settled()
        await keeper.ask("two")
        assert {"get_current_time", "echo"} <= names_in(llm)
        await mob.mcp_servers.remove("own")
        await keeper.ask("three")
        assert "get_current_time" in names_in(llm)
        assert "echo" not in names_in(llm)
    changes = [event.payload for event in seen if isinstance(event, ToolConfigChanged)]
    told = {(change.operation, change.target, change.status) for change in changes}
    assert told >= {("reload", "clock", "connected"), ("remove", "own", "removed")}


async def test_servers_stop_and_start_with_their_mob() -> None:
    async with open_realm(llm=ScriptedLlm([]), mcp=Mcp()) as realm:
        mob = await realm.create_mob(the_team())
        await mob.mcp_servers.settled()
        await mob.stop()
        assert statuses(mob) == {"clock": "stopped", "own": "stopped"}
        await mob.resume()
        await mob.mcp_servers.settled()
        assert statuses(mob) == {"clock": "connected", "own": "connected"}
        await mob.destroy()
        assert statuses(mob) == {"clock": "stopped", "own": "stopped"}


async def test_one_that_is_added_serves_the_role_it_is_given_to() -> None:
    llm = ScriptedLlm({"other": [call("echo", text="hi"), "Done."]})
    async with open_realm(llm=llm, mcp=Mcp()) as realm:
        mob = await realm.create_mob(the_team())
        other = await mob.spawn("other", "o")
        mob.mcp_servers.add("late", ours(), toolbox=mob.toolbox("other"))
        await mob.mcp_servers.settled()
        assert await other.ask("go") == "Done."
        llm.assert_spent()


async def test_without_leave_no_server_is_started(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    definition = the_team(clock=McpServer(command=("touch", str(mark))), own=ours())
    async with open_realm(llm=ScriptedLlm(["ok"])) as realm:
        mob = await realm.create_mob(definition)
        keeper = await mob.spawn("keeper", "k")
        assert await keeper.ask("go") == "ok"
        with pytest.raises(CapabilityUnavailable, match="open_realm"):
            _ = mob.mcp_servers
        missing = [e.kind for e in await mob.poll_events() if isinstance(e.kind, CapabilityMissing)]
        assert [m.flag for m in missing] == ["mcp.clock", "mcp.own"]
        await asyncio.sleep(0.05)
    assert not mark.exists()
