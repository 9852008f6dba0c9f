"""A member comes into being whole, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from meerkat_mob.errors import (
    InboxFull,
    InvalidParams,
    MemberExists,
    ProfileNotFound,
    SkillMissing,
    WiringRefused,
)
from meerkat_mob.llm import ScriptedLlm, hang
from meerkat_mob.mob import addressee, open_realm
from meerkat_mob.mob.definition import (
    BackendConfig,
    ExternalBackend,
    InlineSkill,
    PathSkill,
    RealmRef,
    ToolConfig,
)
from meerkat_mob.mob.facts import CapabilityMissing, MemberSpawned, PeersWired
from meerkat_mob.runtime.inbox import BOUND
from meerkat_mob.sessions import SessionQuery
from tests.mob.teams import a_profile, a_team, incoming

EVERY = SessionQuery()


async def test_a_first_message_and_a_kickoff_start_a_member_and_nothing_else_does() -> None:
    with ScriptedLlm({"a": ["with words"], "b": ["with ours"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead"))
            await mob.spawn("lead", "a", "begin")
            await mob.spawn("lead", "b", kickoff=True)
            await mob.spawn("lead", "c")
            await mob.wait_idle()
    assert [incoming(r)[-1].split(" with")[0] for r in llm.requests] == [
        "begin",
        'You have joined the team "team" as "b"',
    ]


@pytest.mark.parametrize(
    ("profile", "member", "error"),
    [
        ("nobody", "x", ProfileNotFound),
        ("lead", "taken", MemberExists),
        ("lead", "", InvalidParams),
        ("lead", "a/b", InvalidParams),
        ("lead", "__flow_system_x", WiringRefused),
        ("mute", "x", WiringRefused),
        ("unread", "x", SkillMissing),
        ("outside", "x", WiringRefused),
        ("kept", "x", ProfileNotFound),
    ],
)
async def test_what_cannot_be_spawned_is_refused_before_anything_exists(
    profile: str, member: str, error: type[Exception]
) -> None:
    team = a_team(
        "lead",
        profiles={
            "mute": a_profile(tools=ToolConfig(comms=False)),
            "unread": a_profile(skills=("book",)),
            "outside": replace(a_profile(), backend="external"),
        },
    )
    team = replace(
        team,
        realm_profiles={"kept": RealmRef(realm_profile="kept")},
        backend=BackendConfig(external=ExternalBackend(address_base="tcp://127.0.0.1:1")),
    )
    team = replace(team, skills={"book": PathSkill(path="book.md", tried="/shelf/book.md")})
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(team)
        await mob.spawn("lead", "taken")
        before = (mob.members(), await mob.poll_events(), len(await realm.sessions.list(EVERY)))
        with pytest.raises(error):
            await mob.spawn(profile, member)
        after = (mob.members(), await mob.poll_events(), len(await realm.sessions.list(EVERY)))
        assert after == before


async def test_a_missing_skill_file_names_the_path_tried() -> None:
    team = a_team("lead", profiles={"lead": a_profile(skills=("book",))})
    team = replace(team, skills={"book": PathSkill(path="book.md", tried="/shelf/book.md")})
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(team)
        with pytest.raises(SkillMissing, match=r"/shelf/book\.md"):
            await mob.spawn("lead", "lead")


async def test_a_member_knows_its_skills_and_its_address() -> None:
    team = a_team("lead", profiles={"lead": a_profile(skills=("craft",))})
    team = replace(team, skills={"craft": InlineSkill(content="Measure twice.")})
    with ScriptedLlm(["ok"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(team)
            await (await mob.spawn("lead", "lead-1")).ask("go")
    system = repr(llm.requests[0].messages[0])
    assert "Measure twice." in system
    assert "team/lead/lead-1" in system
    assert llm.requests[0].speaker == "team/lead/lead-1"


async def test_a_spawn_and_its_wiring_are_one_commit_with_one_event_for_each_pair() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(a_team("lead", "dev", pairs=[("lead", "dev")]))
        await asyncio.gather(mob.spawn("dev", "d"), mob.spawn("lead", "l"))
        kinds = [e.kind for e in await mob.poll_events()]
    assert sum(isinstance(k, MemberSpawned) for k in kinds) == 2
    assert [k for k in kinds if isinstance(k, PeersWired)] == [PeersWired(a="d", b="l")]


def test_the_task_goes_to_the_orchestrators_member_unless_said_otherwise() -> None:
    team = a_team("lead", "dev")
    assert addressee(team, {"x": "dev", "y": "lead"}) == "y"
    assert addressee(team, {"x": "dev", "y": "lead"}, "x") == "x"
    assert addressee(replace(team, orchestrator=None), {"x": "dev"}) == "x"
    with pytest.raises(InvalidParams, match="there are: x"):
        addressee(team, {"x": "dev"}, "z")


async def test_a_member_without_a_tool_its_profile_asks_for_is_announced() -> None:
    wishful = a_profile(tools=ToolConfig(comms=True, shell=True, mcp=("docs",)))
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(a_team("lead", profiles={"lead": wishful}))
        await mob.spawn("lead", "lead")
        kinds = [e.kind for e in await mob.poll_events()]
    missing = [(k.member, k.flag) for k in kinds if isinstance(k, CapabilityMissing)]
    assert missing == [("lead", "shell"), ("lead", "mcp.docs")]


async def test_a_skill_that_is_nowhere_refuses_its_member_and_says_what_to_add() -> None:
    team = a_team("lead", profiles={"lead": a_profile(skills=("nowhere",))})
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(team)
        with pytest.raises(SkillMissing, match=r"\[skills\.nowhere\]"):
            await mob.spawn("lead", "lead")


async def test_a_peer_with_a_full_inbox_is_wired_all_the_same_and_not_told() -> None:
    async with open_realm(llm=ScriptedLlm([hang()])) as realm:
        mob = await realm.create_mob(a_team("lead", "dev"))
        lead = await mob.spawn("lead", "lead")
        for _ in range(BOUND):
            await lead.send("more")
        with pytest.raises(InboxFull):
            await lead.send("one too many")
        await mob.spawn("dev", "dev")
        assert [sorted(e.wired_to) for e in mob.members()] == [["lead"], ["dev"]]
