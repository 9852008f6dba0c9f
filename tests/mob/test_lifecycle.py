"""A mob as a whole: done, anew, over; and members that nobody can hold up (spec mob 2.3, 2.12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from meerkat_mob import tool
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import InvalidTransition, StoreFailed
from meerkat_mob.llm import ScriptedLlm, call, hang
from meerkat_mob.mob import EndReport, Mob, MobState, SpawnSpec, open_realm, spawn_team
from meerkat_mob.mob.definition import Limits
from meerkat_mob.mob.facts import MobCompleted, MobCreated, MobReset
from meerkat_mob.mob.state import ALLOWED, Command, after, require
from meerkat_mob.sessions import SessionQuery
from tests.mob.teams import a_team

GRACE_MS = 200
TEAM = msgspec.structs.replace(
    a_team("lead", "dev", "ops"), limits=Limits(cancel_grace_timeout_ms=GRACE_MS)
)


async def kinds(mob: Mob, after_cursor: int = 0) -> list[str]:
    return [type(e.kind).__name__ for e in await mob.poll_events(after_cursor, limit=1000)]


def newest(mob: Mob) -> int:
    return mob._context.journal.cursor


# -- the table ---------------------------------------------------------------------------------


def test_each_state_takes_what_its_row_says_and_refuses_the_rest() -> None:
    for state, taken in ALLOWED.items():
        for command in Command:
            if command in taken:
                require(state, command)
            else:
                with pytest.raises(InvalidTransition, match=f"{state.value}.*'{command.value}'"):
                    require(state, command)


def test_what_ends_is_never_left_and_what_is_done_can_only_begin_anew() -> None:
    assert ALLOWED[MobState.DESTROYED] == frozenset()
    assert Command.SPAWN not in ALLOWED[MobState.COMPLETED] | ALLOWED[MobState.STOPPED]
    assert after(MobState.COMPLETED, MobReset()) is MobState.RUNNING
    assert after(MobState.RUNNING, MobCompleted()) is MobState.COMPLETED
    assert after(MobState.STOPPED, MobCreated(definition=msgspec.Raw(b"{}"))) is MobState.RUNNING


# -- complete, reset, destroy ------------------------------------------------------------------


async def test_a_mob_that_is_done_lets_all_members_go_in_one_step() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        before = newest(mob)
        report = await mob.complete()
        assert (report.is_clean, [one.member_id for one in report.members]) == (
            True,
            ["dev", "lead", "ops"],
        )
        assert await kinds(mob, before) == ["MemberRetired"] * 3 + ["MobCompleted"]
        assert (mob.state, mob.members()) == (MobState.COMPLETED, ())
        assert await realm.sessions.list(SessionQuery()) == []
        refused: tuple[Awaitable[object], ...] = (
            mob.spawn("dev", "x"),
            mob.stop(),
            mob.complete(),
            mob.tasks.create("x"),
            mob.wire("a", "b"),
        )
        for one in refused:
            with pytest.raises(InvalidTransition, match="Completed"):
                await one


@pytest.mark.parametrize("before", ["running", "stopped", "completed"])
async def test_a_mob_begins_anew_whatever_its_state(before: str) -> None:
    async with open_realm(llm=ScriptedLlm({"dev": ["hello"]})) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        await mob.tasks.create("dig")
        if before == "stopped":
            await mob.stop()
        if before == "completed":
            await mob.complete()
        cursor = newest(mob)
        assert (await mob.reset()).is_clean
        assert (await kinds(mob, cursor))[-2:] == ["MobCreated", "MobReset"]
        assert (mob.state, mob.members(), mob.tasks.list()) == (MobState.RUNNING, (), ())
        dev = await mob.spawn("dev", "dev")
        assert await dev.ask("there?") == "hello"


async def test_a_destroyed_mob_is_over_and_its_facts_stay() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        report: EndReport = await mob.destroy()
        assert len(report.members) == 3
        assert mob.is_closed
        assert (await kinds(mob))[-1] == "MobDestroyed"
        for again in (mob.destroy(), mob.reset(), mob.resume()):
            with pytest.raises(InvalidTransition, match="Destroyed"):
                await again


@pytest.mark.parametrize("name", ["stop", "complete", "reset", "destroy"])
async def test_a_fact_that_cannot_be_kept_leaves_the_mob_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_realm(llm=ScriptedLlm({"lead": ["still here"]})) as realm:
        mob = await realm.create_mob(TEAM)
        lead, *_ = await spawn_team(mob)
        roster = mob.members()

        async def broken(*args: object, **more: object) -> None:
            raise StoreFailed(path="realm", why="the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(mob._context.journal._store, "commit", broken)
            with pytest.raises(StoreFailed):
                await getattr(mob, name)()
        assert (mob.state, mob.members()) == (MobState.RUNNING, roster)
        assert await lead.ask("there?") == "still here"
        await getattr(mob, name)()


async def test_a_stop_says_whom_it_interrupted() -> None:
    async with open_realm(llm=(llm := ScriptedLlm([hang()]))) as realm:
        mob = await realm.create_mob(TEAM)
        lead, *_ = await spawn_team(mob)
        await lead.send("go")
        while not llm.requests:
            await asyncio.sleep(0)
        report = await mob.stop()
        assert (report.interrupted, report.still_running) == (("lead",), ())


async def test_commands_that_concern_the_mob_come_one_after_the_other() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        ended = await asyncio.gather(mob.stop(), mob.destroy(), mob.reset(), return_exceptions=True)
        assert [isinstance(one, InvalidTransition) for one in ended] == [False, False, True]
        assert mob.state is MobState.DESTROYED


# -- who is stuck holds up nobody --------------------------------------------------------------


class Stubborn:
    """A tool that swallows what would end it, until it is let go."""

    def __init__(self) -> None:
        self.started, self.let_go = asyncio.Event(), asyncio.Event()

    def tool(self) -> Tool:
        @tool
        async def dig() -> str:
            """Dig."""
            self.started.set()
            while not self.let_go.is_set():
                try:
                    await self.let_go.wait()
                except asyncio.CancelledError:
                    continue
            return "done"

        return dig


async def a_stuck_member(mob: Mob) -> Stubborn:
    """``dev`` hangs in a tool that nothing ends; ``lead`` and ``ops`` are free."""
    stubborn = Stubborn()
    await spawn_team(mob, {"lead": "lead", "ops": "ops"})
    dev = await mob.spawn("dev", "dev", tools=[stubborn.tool()])
    await dev.send("go")
    await stubborn.started.wait()
    return stubborn


def a_stuck_llm() -> ScriptedLlm:
    return ScriptedLlm(
        {"dev": [call("dig"), "at last"], "lead": ["fine"] * 3, "ops": ["fine"] * 3, "x": ["hi"]}
    )


@pytest.mark.virtual_only
async def test_whoever_is_stuck_delays_nothing_that_is_not_its_own() -> None:
    loop = asyncio.get_running_loop()
    async with open_realm(llm=a_stuck_llm()) as realm:
        mob = await realm.create_mob(TEAM)
        stubborn = await a_stuck_member(mob)
        began = loop.time()
        assert (await mob.member_status("dev")).busy
        assert mob.busy_members() == ("dev",)
        assert len(mob.members()) == 3
        await mob.member("lead").send("x")
        await mob.member("dev").send("for later")
        await mob.spawn("ops", "x", "begin")
        await mob.wait_for_kickoff(["x"])
        await mob.wire("lead", "x")
        await mob.unwire("lead", "dev")
        await mob.wire("lead", "dev")
        await mob.retire("ops")
        await mob.tasks.create("dig")
        assert loop.time() == began
        stubborn.let_go.set()


ENDING: dict[str, tuple[Callable[[Mob], Awaitable[object]], int]] = {
    "stop": (lambda mob: mob.stop(), 1),
    "interrupt": (lambda mob: mob.member("dev").interrupt(), 0),
    "retire": (lambda mob: mob.retire("dev"), 1),
    "respawn": (lambda mob: mob.respawn("dev"), 1),
    "retire all": (lambda mob: mob.retire_all(), 1),
    "complete": (lambda mob: mob.complete(), 1),
    "reset": (lambda mob: mob.reset(), 1),
    "destroy": (lambda mob: mob.destroy(), 1),
    "shutdown": (lambda mob: mob.shutdown(), 1),
}
"""And for how many times the grace time it may wait."""


@pytest.mark.virtual_only
@pytest.mark.parametrize("name", ENDING)
async def test_whoever_is_stuck_is_waited_for_as_long_as_the_grace_time(name: str) -> None:
    loop = asyncio.get_running_loop()
    end, most = ENDING[name]
    async with open_realm(llm=a_stuck_llm()) as realm:
        mob = await realm.create_mob(TEAM)
        stubborn = await a_stuck_member(mob)
        began = loop.time()
        await end(mob)
        assert loop.time() - began == pytest.approx(most * GRACE_MS / 1000)
        stubborn.let_go.set()
        await asyncio.sleep(1)


@pytest.mark.virtual_only
async def test_what_could_not_be_ended_in_time_is_told_and_put_away_when_it_ends() -> None:
    async with open_realm(llm=a_stuck_llm()) as realm:
        mob = await realm.create_mob(TEAM)
        stubborn = await a_stuck_member(mob)
        session_id = mob.member("dev").session_id
        assert (await mob.stop()).still_running == ("dev",)
        report = await mob.retire("dev")
        told = {step.step: str(step.error) for step in report.steps if step.error}
        assert list(told) == ["stop", "archive_session"]
        assert "did not end within 0.2 s" in told["stop"]
        stubborn.let_go.set()
        await asyncio.sleep(1)
        assert session_id not in {
            one.session_id for one in await realm.sessions.list(SessionQuery())
        }


@pytest.mark.virtual_only
async def test_a_model_that_never_answers_is_interrupted_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with open_realm(llm=(llm := ScriptedLlm({"dev": [hang()]}))) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn_spec(SpawnSpec(profile="dev", member_id="dev", initial_message="go"))
        while not llm.requests:
            await asyncio.sleep(0)
        began = loop.time()
        assert (await mob.stop()).still_running == ()
        await mob.resume()
        await mob.destroy()
        assert loop.time() == began
