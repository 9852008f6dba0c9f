"""Members that go, begin anew, or come for one task (spec mob 2.6, 2.7, 2.10; 7.8, 7.9)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meerkat_mob.comms import PeerMessage
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import (
    InputEnded,
    InvalidTransition,
    LlmFailed,
    MemberExists,
    MemberNotFound,
    PeerNotFound,
    RunCancelled,
    SkillMissing,
    StoreFailed,
)
from meerkat_mob.llm import Script, ScriptedLlm, call, fail, hang
from meerkat_mob.mob import (
    ErrandOptions,
    ExternalPeer,
    LastMessages,
    Mob,
    SpawnSpec,
    open_realm,
    spawn_team,
)
from meerkat_mob.mob.definition import PathSkill
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.mob.teams import a_profile, a_team, incoming

TEAM = a_team("lead", "dev", "ops")


async def kinds(mob: Mob) -> list[str]:
    return [type(event.kind).__name__ for event in await mob.poll_events(limit=1000)]


# -- retire ------------------------------------------------------------------------------------


async def test_who_retires_is_gone_from_everybody_s_sight() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        lead, dev, _ = await spawn_team(mob)
        report = await mob.retire("dev")
        assert (report.is_clean, report.session_id) == (True, dev.session_id)
        assert [step.step for step in report.steps] == [
            "stop",
            "notify_peers",
            "end_jobs",
            "archive_session",
            "forget_memory",
        ]
        assert [e.member for e in mob.members()] == ["lead", "ops"]
        assert {e.member: sorted(e.wired_to) for e in mob.members()}["lead"] == ["ops"]
        assert (await mob.member_status("dev")).status == "unknown"
        for gone in (mob.member, mob.addressable):
            with pytest.raises(MemberNotFound):
                gone("dev")
        with pytest.raises(MemberNotFound):
            await dev.send("x")
        endpoint = mob._context.network.endpoint("lead")
        assert endpoint
        with pytest.raises(PeerNotFound):
            await endpoint.send("dev", PeerMessage(body="x"))
        assert dev.session_id not in {
            s.session_id for s in await realm.sessions.list(SessionQuery())
        }
        assert lead.session_id


async def test_peers_are_told_that_somebody_has_gone() -> None:
    with ScriptedLlm({"lead": ["k"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            lead, *_ = await spawn_team(mob)
            await mob.retire("dev")
            await lead.ask("who is there?")
    news = [text for text in incoming(llm.requests[-1]) if "mob.peer_retired" in text]
    assert len(news) == 1
    assert '"peer":"team/dev/dev"' in news[0]


async def test_nobody_is_retired_twice_and_an_unknown_one_is_fine() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        reports = await asyncio.gather(mob.retire("dev"), mob.retire("dev"), mob.retire("dev"))
        assert sorted(one.found for one in reports) == [False, False, True]
        assert (await mob.retire("nobody")).found is False
        assert (await kinds(mob)).count("MemberRetired") == 1


async def test_a_stopped_mob_lets_members_go_and_a_destroyed_one_has_none() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        await mob.stop()
        assert (await mob.retire("dev")).is_clean
        await mob.destroy()
        with pytest.raises(InvalidTransition):
            await mob.retire("lead")


async def test_a_fact_that_cannot_be_kept_changes_nothing_and_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_realm(llm=ScriptedLlm(["still here"])) as realm:
        mob = await realm.create_mob(TEAM)
        _, dev, _ = await spawn_team(mob)

        async def broken(*args: object, **more: object) -> None:
            raise StoreFailed(path="realm", why="the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(mob._context.journal._store, "commit", broken)
            with pytest.raises(StoreFailed):
                await mob.retire("dev")
        assert await dev.ask("there?") == "still here"
        assert (await mob.retire("dev")).is_clean


async def test_what_cannot_be_put_away_is_reported_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)

        async def broken(session_id: str) -> None:
            raise StoreFailed(path="realm", why="the disk is full")

        monkeypatch.setattr(mob._context.sessions, "archive", broken)
        report = await mob.retire("dev")
        assert not report.is_clean
        failed = {step.step: str(step.error) for step in report.steps if step.error}
        assert list(failed) == ["archive_session"]
        assert "the disk is full" in failed["archive_session"]
        assert report.steps[-1].step == "forget_memory"
        assert (await mob.member_status("dev")).status == "unknown"


async def test_who_waits_for_one_that_retires_is_told() -> None:
    async with open_realm(llm=(llm := ScriptedLlm([hang()]))) as realm:
        mob = await realm.create_mob(TEAM)
        _, dev, _ = await spawn_team(mob)
        asking = asyncio.ensure_future(dev.ask("go"))
        while not llm.requests:
            await asyncio.sleep(0)
        queued = asyncio.ensure_future(dev.ask("and then"))
        await asyncio.sleep(0)
        await mob.retire("dev")
        with pytest.raises(RunCancelled):
            await asking
        with pytest.raises((InputEnded, MemberNotFound)):
            await queued


async def test_all_members_retire_side_by_side() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        reports = await mob.retire_all()
        assert [(one.member_id, one.is_clean) for one in reports] == [
            ("dev", True),
            ("lead", True),
            ("ops", True),
        ]
        assert mob.members() == ()
        await mob.spawn("dev", "dev")


# -- respawn -----------------------------------------------------------------------------------


async def test_a_member_begins_anew_with_all_that_was_its_own() -> None:
    with ScriptedLlm({"dev": ["old", "new"], "ops": []}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await spawn_team(mob, {"lead": "lead", "ops": "ops"})
            spec = SpawnSpec(
                profile="dev",
                member_id="dev",
                labels={"shift": "night"},
                additional_instructions=("Be brief.",),
            )
            dev = await mob.spawn_spec(spec, tools=[a_tool_that_echoes()])
            await mob.wire("dev", "ops")
            await mob.wire("dev", ExternalPeer(name="far/role/one"))
            assert await dev.ask("remember this") == "old"
            before = {e.member: e for e in mob.members()}
            receipt = await mob.respawn("dev")
            after = {e.member: e for e in mob.members()}
            assert receipt.old_session_id == before["dev"].session_id
            assert receipt.new_session_id == dev.session_id == after["dev"].session_id
            for name in ("labels", "wired_to", "external_peers", "request", "runtime_mode"):
                assert getattr(after["dev"], name) == getattr(before["dev"], name), name
            assert after["ops"].wired_to == before["ops"].wired_to
            assert await dev.ask("what did I say?") == "new"
    asked = llm.requests[-1]
    assert "remember this" not in incoming(asked)
    assert "Be brief." in text_of_message(asked.messages[0])
    assert "echo" in {tool.name for tool in asked.tools}


async def test_a_respawn_is_one_commit_and_what_fails_before_it_leaves_the_member_as_it_was() -> (
    None
):
    async with open_realm(llm=ScriptedLlm(["still me"])) as realm:
        mob = await realm.create_mob(TEAM)
        _, dev, _ = await spawn_team(mob)
        before, cursor = mob.members(), (await mob.poll_events(limit=99))[-1].cursor
        lost = PathSkill(path="gone.md")
        profiles = {**TEAM.profiles, "dev": a_profile(skills=("lost",))}
        lacking = msgspec.structs.replace(TEAM, profiles=profiles, skills={"lost": lost})
        await mob.redefine(lacking, expected_revision=1)
        with pytest.raises(SkillMissing):
            await mob.respawn("dev")
        await mob.redefine(TEAM, expected_revision=2)
        assert mob.members() == before
        assert await dev.ask("who?") == "still me"
        await mob.respawn("dev")
        facts = [type(e.kind).__name__ for e in await mob.poll_events(cursor + 2, limit=99)]
        assert facts == ["MemberRetired", "MemberSpawned", "PeersWired"]


async def test_a_respawned_member_is_kicked_off_again_and_may_be_told_something_else() -> None:
    with ScriptedLlm({"dev": ["first", "second", "third"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn("dev", "dev", "begin")
            await mob.wait_for_kickoff()
            await mob.respawn("dev")
            await mob.wait_for_kickoff()
            await mob.respawn("dev", "begin otherwise")
            await mob.wait_for_kickoff()
    assert [incoming(r)[-1] for r in llm.requests] == ["begin", "begin", "begin otherwise"]


async def test_nobody_respawns_who_is_not_there() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        with pytest.raises(MemberNotFound):
            await mob.respawn("dev")


# -- helpers -----------------------------------------------------------------------------------


async def test_a_helper_does_its_task_and_goes() -> None:
    with ScriptedLlm({"helper-1": ["found it"], "h": ["x" * 20_000]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn("lead", "lead")
            result = await mob.spawn_helper(
                "look for it",
                member_id="helper-1",
                options=ErrandOptions(role_name="dev", parent="lead"),
            )
            assert (result.output, result.profile, result.is_cut) == ("found it", "dev", False)
            assert result.labelled.splitlines() == [
                "[RESULT of helper helper-1, role dev]",
                "found it",
            ]
            assert [e.member for e in mob.members()] == ["lead"]
            long = await mob.spawn_helper("talk", member_id="h")
            assert (len(long.output), long.is_cut, long.profile) == (16_000, True, "lead")
            spawned = [e.kind for e in await mob.poll_events(limit=99)]
    assert "MemberSpawned" in {type(k).__name__ for k in spawned}
    assert incoming(llm.requests[0])[-1] == "look for it"


async def test_a_helper_that_fails_has_gone_too() -> None:
    async with open_realm(llm=ScriptedLlm({"h": [fail("auth_error")]})) as realm:
        mob = await realm.create_mob(TEAM)
        with pytest.raises(LlmFailed):
            await mob.spawn_helper("look", member_id="h")
        assert mob.members() == ()


async def test_a_helper_may_remember_what_another_member_knows() -> None:
    script: Script = {
        "lead": ["the number is 7", call("echo") & call("echo"), "twice"],
        "all": ["7"],
        "some": ["?"],
    }
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            lead = await mob.spawn("lead", "lead", tools=[a_tool_that_echoes()])
            await lead.ask("think of a number")
            await lead.ask("echo")
            first = await mob.fork_helper("lead", "which number?", member_id="all")
            last = LastMessages(count=2)
            await mob.fork_helper("lead", "which?", member_id="some", fork_context=last)
            assert (first.output, first.profile) == ("7", "lead")
            assert [e.member for e in mob.members()] == ["lead"]
            history = await realm.sessions.read_history(lead.session_id)
            assert "which number?" not in [text_of_message(m) for m in history.messages]
    whole, part = llm.requests[-2:]
    assert incoming(whole) == ["think of a number", "echo", "which number?"]
    assert "You are all," in text_of_message(whole.messages[0])
    assert [text_of_message(m) for m in part.messages[1:]] == ["twice", "which?"]


async def test_a_name_is_free_only_when_its_holder_has_been_put_away() -> None:
    async with open_realm(llm=(llm := ScriptedLlm([hang()]))) as realm:
        mob = await realm.create_mob(TEAM)
        dev = await mob.spawn("dev", "dev")
        await dev.send("go")
        while not llm.requests:
            await asyncio.sleep(0)
        going = asyncio.ensure_future(mob.retire("dev"))
        while mob.members():
            await asyncio.sleep(0)
        assert (await mob.member_status("dev")).status == "retiring"
        with pytest.raises(MemberExists):
            await mob.spawn("dev", "dev")
        await going
        await mob.spawn("dev", "dev")
