"""A member's first input: its phases, who waits, who is told (spec mob 2.5, 7.10)."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from meerkat_mob.core.tools import callback_tool
from meerkat_mob.errors import KickoffWaitTimedOut
from meerkat_mob.llm import Script, ScriptedLlm, call, fail, hang
from meerkat_mob.mob import Mob, open_realm, spawn_team
from meerkat_mob.mob.facts import Kickoff, KickoffUpdated
from meerkat_mob.mob.kickoff import NEXT, UNFINISHED, changed
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.mob.teams import a_team, incoming

TEAM = a_team("lead", "dev", "ops")
ASK = callback_tool(a_tool_that_echoes("ask").definition)


async def phases(mob: Mob, member: str) -> list[str]:
    return [
        e.kind.kickoff.phase
        for e in await mob.poll_events(limit=1000)
        if isinstance(e.kind, KickoffUpdated) and e.kind.member == member
    ]


async def test_each_phase_is_a_fact() -> None:
    async with open_realm(llm=ScriptedLlm({"dev": ["begun"]})) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("lead", "lead")
        await mob.spawn("dev", "dev", "begin")
        ((name, told),) = await mob.wait_for_kickoff(["dev"])
        assert (name, told.output_preview) == ("dev", "begun")
        assert told.kickoff
        assert told.kickoff.phase == "started"
        assert await phases(mob, "dev") == ["pending", "starting", "started"]
        assert await phases(mob, "lead") == []


async def test_a_default_sentence_names_the_member() -> None:
    with ScriptedLlm({"dev": ["begun"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn("dev", "dev", kickoff=True)
            await mob.wait_for_kickoff()
    assert 'as "dev" with the role dev' in incoming(llm.requests[0])[-1]


async def test_a_first_turn_that_fails_is_told_to_peers_and_breaks_nobody() -> None:
    script: Script = {"dev": [fail("auth_error"), "later"], "lead": ["k"]}
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn("lead", "lead")
            dev = await mob.spawn("dev", "dev", "begin")
            ((_, told),) = await mob.wait_for_kickoff(["dev"])
            assert told.kickoff
            assert (told.status, told.is_final, told.kickoff.phase) == ("active", False, "failed")
            assert "scripted" in str(told.kickoff.error)
            assert await dev.ask("again") == "later"
            await mob.member("lead").ask("news?")
    assert any("mob.kickoff_failed" in text for text in incoming(llm.requests[-1]))


async def test_a_first_turn_that_is_cut_off_is_cancelled_and_told() -> None:
    with ScriptedLlm({"dev": [hang()], "lead": ["k"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn("lead", "lead")
            dev = await mob.spawn("dev", "dev", "begin")
            while not llm.requests:
                await asyncio.sleep(0)
            await dev.interrupt()
            ((_, told),) = await mob.wait_for_kickoff(["dev"])
            assert told.kickoff
            assert told.kickoff.phase == "cancelled"
            await mob.member("lead").ask("news?")
    assert any("mob.kickoff_cancelled" in text for text in incoming(llm.requests[-1]))


async def test_one_that_retires_before_it_began_is_cancelled_in_the_same_step() -> None:
    async with open_realm(llm=(llm := ScriptedLlm({"dev": [hang()]}))) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("dev", "dev", "begin")
        while not llm.requests:
            await asyncio.sleep(0)
        await mob.retire("dev")
        facts = [e.kind for e in await mob.poll_events(limit=99)]
        assert await phases(mob, "dev") == ["pending", "starting", "cancelled"]
        assert type(facts[-1]).__name__ == "MemberRetired"


async def test_a_turn_that_waits_for_somebody_holds_up_no_message() -> None:
    script: Script = {"dev": [call("ask"), "thanks"]}
    async with open_realm(llm=ScriptedLlm(script), tools=[ASK]) as realm:
        mob = await realm.create_mob(TEAM)
        dev = await mob.spawn("dev", "dev", "begin")
        ((_, told),) = await mob.wait_for_kickoff(["dev"])
        assert told.kickoff
        assert told.kickoff.phase == "callback_pending"
        receipt = await dev.send("and something else")
        assert receipt.input_id


async def test_only_those_asked_for_are_waited_for_in_their_order_and_none_that_come_later() -> (
    None
):
    script: Script = {"dev": [hang()], "ops": ["begun"], "late": [hang()]}
    async with open_realm(llm=ScriptedLlm(script)) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("lead", "lead")
        await mob.spawn("dev", "dev", "begin")
        await mob.spawn("ops", "ops", "begin")
        told = await mob.wait_for_kickoff(["ops", "nobody", "lead"])
        assert [name for name, _ in told] == ["ops", "nobody", "lead"]
        assert told[1][1].status == "unknown"
        waiting = asyncio.ensure_future(mob.wait_for_kickoff(["ops"]))
        await mob.spawn("dev", "late", "begin")
        await waiting


@pytest.mark.virtual_only
async def test_a_wait_that_is_too_long_names_who_has_not_begun() -> None:
    script: Script = {"dev": [hang()], "ops": [hang()]}
    async with open_realm(llm=ScriptedLlm(script)) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("ops", "ops", "begin")
        await mob.spawn("dev", "dev", "begin")
        with pytest.raises(KickoffWaitTimedOut) as caught:
            await mob.wait_for_kickoff(["ops", "dev"], timeout=3)
        assert (caught.value.pending, caught.value.seconds) == (("ops", "dev"), 3)


async def test_what_may_not_follow_is_ignored() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        context = mob._context
        for before, then in product(NEXT, NEXT):
            entry = mob.members()[0]
            fact = KickoffUpdated(member=entry.member, kickoff=Kickoff(phase=before))
            context.roster.apply(fact)
            kept = changed(context, entry, then)
            assert bool(kept) is (then in NEXT[before]), (before, then)
    assert all(not NEXT[phase] for phase in ("started", "failed", "cancelled"))
    assert {"pending", "starting"} == UNFINISHED
