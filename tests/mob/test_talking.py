"""Members talk, share a board, and read their mail in the right order."""

from __future__ import annotations

from meerkat_mob.core.messages import ToolResults
from meerkat_mob.llm import Script, ScriptedLlm, call, say
from meerkat_mob.mob import open_realm, spawn_team
from tests.mob.teams import a_profile, a_team, incoming


async def test_the_lead_asks_its_peers_and_answers_when_they_have_answered() -> None:
    script: Script = {
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
    script: Script = {
        "lead": [call("send_message", to="dev", body="psst"), "sent"],
        "dev": ["I read it"],
    }
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
    script: Script = {
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
