"""Giving a member work, waiting for its answer, and what may come instead."""

from __future__ import annotations

import asyncio

import pytest

from meerkat_mob.errors import (
    InvalidParams,
    LlmFailed,
    NoAnswer,
    NotExternallyAddressable,
    RunCancelled,
    WaitTimedOut,
)
from meerkat_mob.llm import ScriptedLlm, fail, hang
from meerkat_mob.mob import open_realm, spawn_team
from tests.mob.teams import a_profile, a_team


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
            while (await lead.status()).output_preview != "fine" or "lead" in mob.busy_members():
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
