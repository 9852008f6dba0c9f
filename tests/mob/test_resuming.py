"""A mob comes back as it was: members, wiring, messages, tasks, state (spec mob 2.13, 7.13)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meerkat_mob.core.messages import ToolResults, text_of_message
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome
from meerkat_mob.errors import (
    InputEnded,
    InvalidTransition,
    MemberNotFound,
    MemberRestoreFailed,
    MobNotFound,
)
from meerkat_mob.llm import ScriptedLlm, call, hang, say
from meerkat_mob.mob import ExternalPeer, Mob, MobState, SpawnSpec, open_realm, spawn_team
from meerkat_mob.mob.definition import InlineSkill, Profile, ToolConfig
from meerkat_mob.mob.facts import KickoffUpdated, MemberBroken, MemberRestored, MemberSpawned
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_request, a_tool, a_tool_that_echoes
from tests.mob.realms import Kept
from tests.mob.teams import a_profile, a_team, incoming

TEAM = a_team("lead", "dev", "ops")


async def facts_of(mob: Mob) -> list[str]:
    return [type(event.kind).__name__ for event in await mob.poll_events(limit=1000)]


async def test_members_sessions_wiring_and_tasks_are_there_again() -> None:
    kept = Kept()
    async with kept.realm(ScriptedLlm({"lead": ["noted"]})) as realm:
        mob = await realm.create_mob(TEAM)
        lead, *_ = await spawn_team(mob)
        await mob.wire("dev", "ops")
        await mob.unwire("lead", "ops")
        await mob.wire("dev", ExternalPeer(name="other/role/name"))
        await mob.tasks.create("dig")
        await lead.ask("remember 7")
        roster, tasks = mob.members(), mob.tasks.list()
    with ScriptedLlm(
        {"lead": [call("send_message", to="dev", body="hi"), "7"], "dev": ["k"]}
    ) as llm:
        async with kept.realm(llm) as realm:
            assert await realm.kept_mobs() == ["team"]
            mob = await realm.resume_mob("team")
            assert (mob.state, mob.members(), mob.tasks.list()) == (MobState.RUNNING, roster, tasks)
            assert await mob.member("lead").ask("which number?") == "7"
            await mob.wait_idle()
    asked = next(r for r in llm.requests if r.speaker == "team/lead/lead")
    assert "remember 7" in incoming(asked)


async def test_what_was_waiting_is_delivered_once_and_in_order() -> None:
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        lead, *_ = await spawn_team(mob)
        await mob.stop()
        await mob.resume()
    with ScriptedLlm({"lead": [hang()]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            lead = mob.member("lead")
            await lead.send("first")
            while not llm.requests:
                await asyncio.sleep(0)
            await lead.send("second")
            await lead.send("third", idempotency_key="3")
            await lead.send("third", idempotency_key="3")
    with ScriptedLlm({"lead": ["one", "two", "three"]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            await mob.wait_idle()
    heard = incoming(llm.requests[-1])
    assert [text for text in heard if text in {"first", "second", "third"}] == [
        "first",
        "second",
        "third",
    ]


async def test_a_run_that_an_orderly_end_broke_off_goes_on_in_the_next_process() -> None:
    """As often as it may be: who ends in good order takes no attempt away."""
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        await spawn_team(await realm.create_mob(TEAM))
    for ends in range(6):
        with ScriptedLlm({"lead": [say("Let me ") & hang()]}) as llm:
            async with kept.realm(llm) as realm:
                mob = await realm.resume_mob("team")
                asked = None if ends else asyncio.create_task(mob.member("lead").ask("think"))
                while not llm.requests:
                    await asyncio.sleep(0)
        if asked is not None:
            with pytest.raises(InputEnded, match="the mob was shut down; it is kept"):
                await asked
        assert incoming(llm.requests[-1]).count("think") == 1
    with ScriptedLlm({"lead": ["thought", "two"]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            await mob.wait_idle()
            lead = mob.member("lead")
            history = await realm.sessions.read_history(lead.session_id)
            said = [text_of_message(m) for m in history.messages]
            assert (said.count("think"), said[-1]) == (1, "thought")
            assert await lead.ask("and now?") == "two"


async def test_a_run_that_an_orderly_end_broke_off_in_a_tool_is_told_so_and_goes_on() -> None:
    kept, began = Kept(), asyncio.Event()

    async def wait(_: ToolCall) -> ToolOutcome:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError("it was cancelled")

    async with kept.realm(ScriptedLlm({"lead": [call("wait")]})) as realm:
        mob = await realm.create_mob(TEAM)
        lead = await mob.spawn("lead", "lead", tools=[a_tool("wait", wait)])
        await lead.send("go")
        await began.wait()
    with ScriptedLlm({"lead": ["I see"]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            await mob.wait_idle()
            lead = mob.member("lead")
            said = (await realm.sessions.read_history(lead.session_id)).messages
    results = next(m for m in said if isinstance(m, ToolResults))
    assert results.results[0].is_error
    assert text_of_message(said[-1]) == "I see"


async def test_a_stopped_mob_comes_back_stopped_and_goes_on_when_told() -> None:
    kept = Kept()
    async with kept.realm(llm := ScriptedLlm([hang()])) as realm:
        mob = await realm.create_mob(TEAM)
        lead, *_ = await spawn_team(mob)
        await lead.send("one")
        while not llm.requests:
            await asyncio.sleep(0)
        await lead.send("two")
        await mob.stop()
    with ScriptedLlm({"lead": ["done"]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            assert mob.state is MobState.STOPPED
            await mob.wait_idle()
            assert llm.requests == []
            await mob.resume()
            await mob.wait_idle()
            assert (await mob.member_status("lead")).output_preview == "done"


async def test_a_mob_that_is_here_is_returned_as_it_is_and_one_that_was_shut_down_comes_back() -> (
    None
):
    with ScriptedLlm({"lead": ["a", "b"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            lead, *_ = await spawn_team(mob)
            assert await lead.ask("x") == "a"
            assert await realm.resume_mob("team") is mob
            await mob.shutdown()
            await mob.shutdown()
            again = await realm.resume_mob("team")
            assert again is not mob
            assert again.members() == mob.members()
            assert await again.member("lead").ask("y") == "b"
    assert incoming(llm.requests[-1])[-2:] == ["x", "y"]


async def test_what_never_was_and_what_was_destroyed_does_not_come_back() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        with pytest.raises(MobNotFound, match="none yet"):
            await realm.resume_mob("team")
        mob = await realm.create_mob(TEAM)
        with pytest.raises(MobNotFound, match="team"):
            await realm.resume_mob("tem")
        await mob.destroy()
        with pytest.raises(InvalidTransition, match="Destroyed"):
            await realm.resume_mob("team")


async def test_a_completed_mob_comes_back_completed_and_a_reset_one_empty() -> None:
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        await mob.tasks.create("dig")
        await mob.complete()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.resume_mob("team")
        assert (mob.state, mob.members()) == (MobState.COMPLETED, ())
        await mob.reset()
        await mob.spawn("dev", "one")
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.resume_mob("team")
        assert [e.member for e in mob.members()] == ["one"]
        assert (mob.state, mob.tasks.list()) == (MobState.RUNNING, ())


async def test_sessions_that_are_no_member_s_are_archived_and_others_left_alone() -> None:
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        lead, dev, _ = await spawn_team(mob)
        stranger = await realm.sessions.create_session(a_request(defer=True))
        # a crash between the session and its member's fact leaves a session that is nobody's
        document = await realm.sessions.export_session(dev.session_id)
        await realm.sessions.fork_session(dev.session_id, new_id="orphan")
        assert document.id == dev.session_id
    async with kept.realm(ScriptedLlm([])) as realm:
        await realm.resume_mob("team")
        left = {s.session_id for s in await realm.sessions.list(SessionQuery())}
    assert "orphan" not in left
    assert {lead.session_id, stranger.session_id} <= left


async def test_a_member_that_cannot_be_brought_back_is_broken_and_hurts_nobody() -> None:
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        _, dev, _ = await spawn_team(mob)
        await realm.sessions.archive(dev.session_id)
    with ScriptedLlm({"lead": ["fine"], "dev": ["hello"]}) as llm:
        async with kept.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            told = await mob.member_status("dev")
            assert (told.status, told.is_final) == ("broken", True)
            assert dev.session_id in str(told.error)
            assert await mob.member("lead").ask("well?") == "fine"
            for refused in (mob.wire("dev", "ops"), mob.send("dev", "x")):
                with pytest.raises(MemberRestoreFailed, match="respawn it"):
                    await refused
            peers = (await mob.member_status("lead")).peer_connectivity
            assert peers
            assert [one.peer for one in peers.unreachable_peers] == ["team/dev/dev"]
            await mob.spawn("dev", "dev-2")  # nobody is wired to who is broken
            receipt = await mob.respawn("dev")
            assert receipt.old_session_id == dev.session_id
            assert await mob.member("dev").ask("there?") == "hello"
            assert "lead" in {e.member: e for e in mob.members()}["dev"].wired_to
            assert (await mob.member_status("dev")).status == "active"


async def test_a_broken_member_is_told_once_retired_like_any_and_whole_when_it_can_be() -> None:
    skilled = Profile(model="m", tools=ToolConfig(comms=True), skills=("s",))
    team = a_team("lead", "dev", profiles={"dev": skilled})
    whole = msgspec.structs.replace(team, skills={"s": InlineSkill(content="dig")})
    kept = Kept()
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(whole)
        await spawn_team(mob)
        assert mob.revision == 1
        without = msgspec.structs.replace(whole, profiles={"lead": whole.profiles["lead"]})
        assert await mob.redefine(without, expected_revision=1) == 2
    for _ in range(2):
        async with kept.realm(ScriptedLlm([])) as realm:
            mob = await realm.resume_mob("team")
            assert (await mob.member_status("dev")).status == "broken"
            assert (await facts_of(mob)).count("MemberBroken") == 1
            assert mob.revision == 2
            if _ == 1:
                await mob.redefine(whole, expected_revision=2)
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.resume_mob("team")
        assert (await mob.member_status("dev")).status == "active"
        assert (await facts_of(mob))[-1] == "MemberRestored"
        assert (await mob.retire("dev")).is_clean
        with pytest.raises(MemberNotFound):
            mob.member("dev")
    assert (MemberBroken.__struct_config__.tag, MemberRestored.__struct_config__.tag) == (
        "meerkat_broken",
        "meerkat_restored",
    )


async def test_a_first_turn_that_a_crash_cut_short_is_taken_once() -> None:
    kept = Kept()
    async with kept.realm(llm := ScriptedLlm([hang()])) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("dev", "dev", "begin with this")
        while not llm.requests:
            await asyncio.sleep(0)
        crashed = kept.as_it_is_now()
    for answers in (["begun"], []):
        with ScriptedLlm({"dev": answers}) as llm:
            async with crashed.realm(llm) as realm:
                mob = await realm.resume_mob("team")
                told = await mob.wait_for_kickoff()
                assert [(name, one.kickoff.phase) for name, one in told if one.kickoff] == [
                    ("dev", "started")
                ]
        assert [incoming(r).count("begin with this") for r in llm.requests] == [1] * len(answers)


async def test_a_crash_between_the_member_and_its_first_input_loses_nothing() -> None:
    kept, taken = Kept(), list[Kept]()
    async with kept.realm(ScriptedLlm(lambda _: "ok")) as realm:
        mob = await realm.create_mob(TEAM)

        def look(fact: object) -> None:
            if isinstance(fact, MemberSpawned | KickoffUpdated):
                taken.append(kept.as_it_is_now())

        mob._context.journal.follow(look)
        await mob.spawn("dev", "dev", "begin with this")
        await mob.wait_for_kickoff()
    for crashed in taken:
        llm = ScriptedLlm(lambda _: "ok")
        async with crashed.realm(llm) as realm:
            mob = await realm.resume_mob("team")
            await mob.wait_for_kickoff()
            history = await realm.sessions.read_history(mob.member("dev").session_id)
        said = [text_of_message(m) for m in history.messages]
        assert said.count("begin with this") == 1
    assert len(taken) == 4


async def test_a_member_that_works_when_asked_and_its_own_settings_are_what_they_were() -> None:
    profile = a_profile(runtime_mode="turn_driven")
    team = a_team("lead", "dev", profiles={"dev": profile})
    kept = Kept()
    spec = SpawnSpec(profile="dev", member_id="d", labels={"shift": "night"}, context={"n": 1})
    async with kept.realm(ScriptedLlm([])) as realm:
        mob = await realm.create_mob(team)
        await mob.spawn_spec(spec)
    async with kept.realm(ScriptedLlm(["ok"])) as realm:
        mob = await realm.resume_mob("team")
        (entry,) = mob.members()
        assert (entry.runtime_mode, entry.labels, entry.request) == (
            "turn_driven",
            {"shift": "night"},
            spec,
        )
        history = await realm.sessions.read_history(entry.session_id)
        assert '{"n":1}' in text_of_message(history.messages[0])


async def test_tools_are_made_anew_and_the_model_sees_them() -> None:
    def names(llm: ScriptedLlm) -> set[str]:
        return {tool.name for tool in llm.requests[-1].tools}

    echo: Tool = a_tool_that_echoes()
    kept = Kept()
    async with kept.realm(llm := ScriptedLlm(["a"])) as realm:
        mob = await realm.create_mob(TEAM)
        lead = await mob.spawn("lead", "lead", tools=[echo])
        await lead.ask("x")
        before = names(llm)
    async with kept.realm(llm := ScriptedLlm(["b", "c"])) as realm:
        mob = await realm.resume_mob("team")
        await mob.member("lead").ask("y")
        assert names(llm) == before - {"echo"}
        mob.member("lead").toolbox.add(echo)
        await mob.member("lead").ask("z")
        assert names(llm) == before
