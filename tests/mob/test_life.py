"""Stop, resume, destroy, and the realm around it."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from meerkat_mob.comms import Router
from meerkat_mob.errors import (
    InputEnded,
    InvalidTransition,
    MemberNotFound,
    MobExists,
    MobNotFound,
    PersistenceDisabled,
    RunCancelled,
)
from meerkat_mob.llm import ScriptedLlm, hang
from meerkat_mob.mob import Mob, MobState, for_mobs, open_realm, spawn_team
from meerkat_mob.mob.facts import MobDestroyed
from meerkat_mob.store import MemoryStore
from tests.mob.teams import a_team

DESTROYED = MobDestroyed()


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
    llm = ScriptedLlm([hang()])
    async with open_realm(llm=llm) as realm:
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        asking = asyncio.ensure_future(lead.ask("go"))
        queued = asyncio.ensure_future(lead.ask("and then"))
        while not llm.requests:
            await asyncio.sleep(0)
        await mob.destroy()
        with pytest.raises(RunCancelled):
            await asking
        with pytest.raises(InputEnded, match="the mob was destroyed"):
            await queued
        assert (await mob.poll_events())[-1].kind == DESTROYED
        assert len([e async for e in mob.events()]) == len(await mob.poll_events())
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
        create = partial(
            Mob.create,
            a_team("lead"),
            service=for_mobs(realm.sessions, ids=lambda: "i"),
            store=MemoryStore(clock=lambda: 0),
            router=Router(ids=lambda: "i"),
            clock=lambda: 0,
            ids=lambda: "i",
        )
        with pytest.raises(PersistenceDisabled, match="mob 'team'"):
            await create()
        assert (await create(allow_ephemeral_sessions=True)).id == "team"


async def test_one_service_has_one_runtime_however_often_it_is_asked() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        other = for_mobs(realm.sessions, ids=lambda: "i")
        assert other.runtime_adapter() is realm.service.runtime_adapter()
