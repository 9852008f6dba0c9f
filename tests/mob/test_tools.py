"""Which tools a member gets: everybody's, its role's, its own, those of bundles, builtins."""

from __future__ import annotations

from pathlib import Path

import pytest

from meerkat_mob import Toolbox, open_realm, tool
from meerkat_mob.core.messages import ToolResults
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import InvalidParams, ProfileNotFound
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.mob.definition import MobDefinition, ToolConfig
from meerkat_mob.mob.facts import CapabilityMissing
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.mob.teams import a_profile, a_team

COMMS = ["send", "send_request", "send_response", "peers"]


def a_mixed_team(**tools: ToolConfig) -> MobDefinition:
    return a_team(*tools, profiles={name: a_profile(tools=given) for name, given in tools.items()})


def seen(llm: ScriptedLlm, n: int = -1) -> list[str]:
    """The tools of a call, without those for writing to peers."""
    return [t.name for t in llm.requests[n].tools if t.name in SPECIAL]


SPECIAL = frozenset({"everybody", "role", "own", "web", "late", "datetime", "apply_patch"})


def some(*names: str) -> list[Tool]:
    return [a_tool_that_echoes(name) for name in names]


async def test_tools_are_for_everybody_for_a_role_or_for_one_member() -> None:
    llm = ScriptedLlm(lambda _: "ok")
    async with open_realm(llm=llm, tools=some("everybody")) as realm:
        mob = await realm.create_mob(a_mixed_team(lead=ToolConfig(comms=True)))
        mob.toolbox("lead").add(*some("role"))
        ann = await mob.spawn("lead", "ann", tools=some("own"))
        bob = await mob.spawn("lead", "bob")
        await ann.ask("go")
        assert seen(llm) == ["own", "role", "everybody"]
        await bob.ask("go")
        assert seen(llm) == ["role", "everybody"]
        with pytest.raises(ProfileNotFound):
            mob.toolbox("ghost")


async def test_what_is_added_later_reaches_those_that_are_there() -> None:
    llm = ScriptedLlm(lambda _: "ok")
    async with open_realm(llm=llm) as realm:
        mob = await realm.create_mob(a_mixed_team(lead=ToolConfig(comms=True)))
        ann = await mob.spawn("lead", "ann")
        await ann.ask("go")
        assert seen(llm) == []
        realm.toolbox.add(*some("everybody"))
        mob.toolbox("lead").add(*some("role"))
        ann.toolbox.add(*some("own"))
        await ann.ask("go")
        assert seen(llm) == ["own", "role", "everybody"]
        realm.toolbox.remove("everybody")
        await ann.ask("go")
        assert seen(llm) == ["own", "role"]


async def test_a_bundle_is_for_the_profiles_that_name_it() -> None:
    llm = ScriptedLlm(lambda _: "ok")
    live = Toolbox(some("web"))
    team = a_mixed_team(
        lead=ToolConfig(comms=True, rust_bundles=("net", "ghost")), worker=ToolConfig(comms=True)
    )
    async with open_realm(llm=llm, bundles={"net": live, "other": some("own")}) as realm:
        mob = await realm.create_mob(team)
        ann, bob = await mob.spawn("lead", "ann"), await mob.spawn("worker", "bob")
        live.add(*some("late"))
        await ann.ask("go")
        assert seen(llm) == ["web", "late"]
        await bob.ask("go")
        assert seen(llm) == []
        kinds = [event.kind for event in await mob.poll_events()]
        flags = [(k.member, k.flag) for k in kinds if isinstance(k, CapabilityMissing)]
        assert flags == [("ann", "rust_bundles.ghost")]


async def test_a_member_whose_tools_have_one_name_is_not_made() -> None:
    async with open_realm(llm=ScriptedLlm([]), tools=some("peers")) as realm:
        mob = await realm.create_mob(a_mixed_team(lead=ToolConfig(comms=True)))
        with pytest.raises(InvalidParams, match="two tools are named 'peers'"):
            await mob.spawn("lead", "ann")
        assert mob.members() == ()
        realm.toolbox.remove("peers")
        with pytest.raises(InvalidParams, match="two tools are named 'own'"):
            await mob.spawn("lead", "ann", tools=some("own", "own"))
        assert (await mob.spawn("lead", "ann")).id == "ann"


async def test_builtins_touch_the_files_below_a_root_and_none_without_one(tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** Add File: notes.md\n+done\n*** End Patch\n"
    team = a_mixed_team(lead=ToolConfig(comms=True, builtins=True))
    llm = ScriptedLlm([call("apply_patch", patch=patch), "ok", "still ok"])
    async with open_realm(llm=llm, root=tmp_path) as realm:
        mob = await realm.create_mob(team)
        ann = await mob.spawn("lead", "ann")
        await ann.ask("go")
        assert (tmp_path / "notes.md").read_text(encoding="utf-8") == "done\n"
        history = (await realm.sessions.read_history(ann.session_id)).messages
        assert [r.is_error for m in history if isinstance(m, ToolResults) for r in m.results] == [
            False
        ]
    async with open_realm(llm=llm) as realm:
        ann = await (await realm.create_mob(team)).spawn("lead", "ann")
        await ann.ask("go")
        assert seen(llm) == ["datetime"]


def test_a_root_that_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="root"):
        open_realm(llm=ScriptedLlm([]), root=tmp_path / "ghost")


async def test_a_function_is_a_tool_for_everybody_in_one_line() -> None:
    @tool
    def double(n: int) -> int:
        """Twice a number."""
        return 2 * n

    llm = ScriptedLlm([call("double", n=21), "42"])
    async with open_realm(llm=llm, tools=[double]) as realm:
        ann = await (await realm.create_mob(a_mixed_team(lead=ToolConfig(comms=True)))).spawn(
            "lead", "ann"
        )
        assert await ann.ask("twice 21?") == "42"
