"""A team at work: members are spawned, wired, given work, talk, and become idle."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from meerkat_mob.comms import Router
from meerkat_mob.core.messages import ToolResults
from meerkat_mob.errors import (
    InputEnded,
    InvalidParams,
    InvalidTransition,
    LlmFailed,
    MemberExists,
    MemberNotFound,
    MobExists,
    MobNotFound,
    NoAnswer,
    NotExternallyAddressable,
    PersistenceDisabled,
    ProfileNotFound,
    RunCancelled,
    SkillMissing,
    WaitTimedOut,
    WiringRefused,
)
from meerkat_mob.llm import ScriptedLlm, call, fail, hang, say
from meerkat_mob.mob import Mob, MobState, addressee, for_mobs, open_realm, spawn_team
from meerkat_mob.mob.definition import InlineSkill, PathSkill, ToolConfig
from meerkat_mob.mob.events import MemberSpawned, MobDestroyed, PeersWired
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.store import MemoryStore
from tests.mob.teams import a_profile, a_team, incoming

EVERY = SessionQuery()
DESTROYED = MobDestroyed()


async def test_the_lead_asks_its_peers_and_answers_when_they_have_answered() -> None:
    script = {
        "lead": [
            call("send_message", to="dev", body="ready?")
            & call("send_message", to="ops", body="ready?"),
            "asked them",
            say("everyone is ready"),
        ],
        "dev": [call("send_message", to="lead", body="dev is ready"), "told the lead"],
        "ops": [call("send_message", to="lead", body="ops is ready"), "told the lead"],
    }
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev", "ops"))
            lead, *_ = await spawn_team(mob)
            assert await lead.ask("Are we ready?") == "everyone is ready"
            assert mob.busy_members() == ()
    heard = next(incoming(r) for r in reversed(llm.requests) if r.speaker == "team/lead/lead")
    assert heard[-2:] == [
        "[COMMS MESSAGE from team/dev/dev]\ndev is ready",
        "[COMMS MESSAGE from team/ops/ops]\nops is ready",
    ]


async def test_two_runs_of_one_script_do_the_same() -> None:
    async def play() -> list[object]:
        llm = ScriptedLlm(
            {
                "lead": [call("send_message", to="dev", body="x"), "done", "fine"],
                "dev": [call("send_message", to="lead", body="y"), "done"],
            }
        )
        numbers = iter(range(10_000))
        async with open_realm(llm=llm, clock=lambda: 0, ids=lambda: f"id-{next(numbers)}") as realm:
            mob = await realm.create_mob(a_team("lead", "dev"))
            lead, _ = await spawn_team(mob)
            events = mob.events()
            await lead.ask("go")
            await mob.destroy()
            return [e async for e in events]

    assert await play() == await play()


async def test_news_about_peers_wakes_nobody_and_precedes_the_next_run() -> None:
    with ScriptedLlm({"lead": ["hello"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev"))
            lead, _ = await spawn_team(mob)
            await mob.wait_idle()
            assert llm.requests == []
            await lead.ask("Hi")
    news, prompt = incoming(llm.requests[0])
    assert "intent: mob.peer_added" in news
    assert "team/dev/dev" in news
    assert prompt == "Hi"


async def test_a_profile_may_ask_for_no_news_about_peers() -> None:
    quiet = a_profile(max_inline_peer_notifications=0)
    with ScriptedLlm({"lead": ["hello"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev", profiles={"lead": quiet}))
            lead, _ = await spawn_team(mob)
            await lead.ask("Hi")
    assert incoming(llm.requests[0]) == ["Hi"]


async def test_a_turn_driven_member_reads_its_mail_in_front_of_its_next_turn() -> None:
    driven = a_profile(runtime_mode="turn_driven")
    script = {"lead": [call("send_message", to="dev", body="psst"), "sent"], "dev": ["I read it"]}
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev", profiles={"dev": driven}))
            lead, dev = await spawn_team(mob)
            await lead.ask("go")
            assert await dev.ask("Any mail?") == "I read it"
    assert incoming(llm.requests[-1])[-2:] == [
        "[COMMS MESSAGE from team/lead/lead]\npsst",
        "Any mail?",
    ]


async def test_a_message_to_nobody_tells_the_sender_who_there_is() -> None:
    with ScriptedLlm({"lead": [call("send_message", to="ghost", body="x"), "oh"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev"))
            lead, _ = await spawn_team(mob)
            await lead.ask("go")
    result = llm.requests[-1].messages[-1]
    assert isinstance(result, ToolResults)
    assert "no peer 'ghost'; you can write to: team/dev/dev" in str(result.results[0].content)


async def test_members_share_one_board() -> None:
    script = {
        "lead": [
            call("mob_task_create", subject="ship it"),
            call("send_message", to="dev", body="take the task"),
            "assigned",
        ],
        "dev": [call("mob_task_list"), "looked"],
    }
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "dev"))
            lead, _ = await spawn_team(mob)
            await lead.ask("go")
            (task,) = mob.tasks.list()
            assert (task.subject, task.status) == ("ship it", "open")
            assert (await mob.tasks.update(task.id, "in_progress", "dev")).owner == "dev"
    assert f'"id":"{task.id}"' in repr(llm.requests[-1].messages[-1])


# -- asking ------------------------------------------------------------------------------------


async def test_an_ask_whose_model_fails_raises_what_it_failed_with() -> None:
    with ScriptedLlm([fail("no such model"), "better"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead"))
            (lead,) = await spawn_team(mob)
            with pytest.raises(LlmFailed, match="no such model"):
                await lead.ask("go")
            assert await lead.ask("again") == "better"


async def test_an_ask_that_nobody_answers_in_time_names_who_is_at_work() -> None:
    async with open_realm(llm=ScriptedLlm([hang()])) as realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        with pytest.raises(WaitTimedOut, match="still at work: lead"):
            await lead.ask("go", timeout=0.01)
        assert mob.busy_members() == ("lead",)


async def test_an_ask_without_any_text_is_an_error() -> None:
    async with open_realm(llm=ScriptedLlm([""])) as realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        with pytest.raises(NoAnswer, match="'lead' gave no answer"):
            await lead.ask("go")


async def test_an_interrupted_ask_is_cancelled_and_the_member_takes_the_next_one() -> None:
    with ScriptedLlm([hang(), "here"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead"))
            (lead,) = await spawn_team(mob)
            asking = asyncio.ensure_future(lead.ask("go"))
            while not llm.requests:
                await asyncio.sleep(0)
            await lead.interrupt()
            with pytest.raises(RunCancelled):
                await asking
            assert await lead.ask("still there?") == "here"


async def test_one_hanging_member_holds_up_nobody_else() -> None:
    with ScriptedLlm({"stuck": [hang()], "lead": ["fine"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead", "stuck", "dev"))
            lead, stuck = await mob.spawn("lead", "lead"), await mob.spawn("stuck", "stuck")
            await stuck.send("go")
            await mob.spawn("dev", "dev")
            ended = asyncio.ensure_future(lead.ask("go"))
            receipt = await mob.member("dev").status()
            assert (receipt.status, receipt.busy) == ("active", False)
            while (await lead.status()).output_preview != "fine":
                await asyncio.sleep(0)
            assert mob.busy_members() == ("stuck",)
            await mob.destroy()
            assert await ended == "fine"


async def test_blank_content_is_refused_with_its_place() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        with pytest.raises(InvalidParams, match="content: the content is blank"):
            await lead.send("  ")


async def test_the_same_idempotency_key_is_taken_once() -> None:
    with ScriptedLlm(["once"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead"))
            (lead,) = await spawn_team(mob)
            first = await lead.send("go", idempotency_key="k")
            again = await lead.send("go", idempotency_key="k")
            assert again == first
            await mob.wait_idle()
            assert (await lead.send("go", idempotency_key="k")).input_id == first.input_id


async def test_only_addressable_members_take_messages_from_outside() -> None:
    with ScriptedLlm(["hello"]) as llm:
        async with open_realm(llm=llm) as realm:
            open_door = a_profile(external_addressable=True)
            mob = await realm.create_mob(a_team("lead", "dev", profiles={"lead": open_door}))
            await spawn_team(mob)
            await mob.send("lead", "hi")
            await mob.wait_idle()
            with pytest.raises(NotExternallyAddressable, match=r"profiles\.dev"):
                await mob.send("dev", "hi")


# -- spawning ----------------------------------------------------------------------------------


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
        },
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
        with pytest.raises(SkillMissing, match="/shelf/book.md"):
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


# -- life --------------------------------------------------------------------------------------


async def test_a_stopped_mob_takes_nothing_and_loses_nothing() -> None:
    with ScriptedLlm({"lead": [hang(), "back"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(a_team("lead"))
            (lead,) = await spawn_team(mob)
            await lead.send("first")
            while not llm.requests:
                await asyncio.sleep(0)
            await lead.send("second")
            await mob.stop()
            assert mob.state is MobState.STOPPED
            with pytest.raises(InvalidTransition, match="Stopped"):
                await lead.send("third")
            with pytest.raises(InvalidTransition):
                await mob.tasks.create("later")
            await mob.resume()
            await mob.wait_idle()
            assert (await lead.status()).output_preview == "back"


async def test_destroy_ends_runs_streams_and_sessions_and_tells_who_waits() -> None:
    async with open_realm(llm=ScriptedLlm([hang()])) as realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        asking = asyncio.ensure_future(lead.ask("go"))
        queued = asyncio.ensure_future(lead.ask("and then"))
        while not mob.busy_members():
            await asyncio.sleep(0)
        await mob.destroy()
        for waiting in (asking, queued):
            with pytest.raises(InputEnded, match="the mob was destroyed"):
                await waiting
        assert [e.kind async for e in mob.events()][-1] == DESTROYED
        assert (await lead.status()).is_final
        with pytest.raises(InvalidTransition):
            await mob.spawn("lead", "late")


async def test_a_realm_that_closes_leaves_no_run_behind() -> None:
    realm = open_realm(llm=ScriptedLlm([hang()]))
    async with realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        await lead.send("go")
        watching = asyncio.ensure_future(anext(mob.events(after=None), None))
    await watching
    await realm.aclose()


async def test_a_mob_id_is_taken_once_and_known_by_name() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(a_team("lead"))
        with pytest.raises(MobExists):
            await realm.create_mob(a_team("lead"))
        assert realm.mob("team") is mob
        assert realm.mobs() == (mob,)
        with pytest.raises(MobNotFound, match="has: team"):
            realm.mob("other")
        with pytest.raises(MemberNotFound):
            mob.member("ghost")


async def test_a_mob_over_a_service_in_memory_must_opt_in() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        parts = {
            "service": for_mobs(realm.sessions, ids=lambda: "i"),
            "store": MemoryStore(clock=lambda: 0),
            "router": Router(ids=lambda: "i"),
            "clock": lambda: 0,
            "ids": lambda: "i",
        }
        with pytest.raises(PersistenceDisabled, match="mob 'team'"):
            await Mob.create(a_team("lead"), **parts)
        assert (
            await Mob.create(a_team("lead"), allow_ephemeral_sessions=True, **parts)
        ).id == "team"


async def test_one_service_has_one_runtime_however_often_it_is_asked() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        other = for_mobs(realm.sessions, ids=lambda: "i")
        assert other.runtime_adapter() is realm.service.runtime_adapter()
