"""Every write of every command fails once: the mob is as before or as after, never between (7.6).

And whatever was done, a mob that comes back from its facts is the mob that was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.errors import MeerkatError, StoreFailed
from meerkat_mob.llm import ScriptedLlm, hang
from meerkat_mob.mob import ExternalPeer, Fork, Mob, MobState, SpawnSpec, spawn_team
from meerkat_mob.mob.kept import read_mob
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.store import Append, MemoryStore
from tests.mob.realms import Kept
from tests.mob.teams import a_team

TEAM = a_team("lead", "dev", "ops")
WIDER = a_team("lead", "dev", "ops", "artist")
FAR = ExternalPeer(name="far/role/one")
Act = Callable[[Mob], Awaitable[object]]


async def _wired_outside(mob: Mob) -> None:
    await mob.wire("dev", FAR)
    await mob.unwire("dev", FAR.name)


async def _stopped_and_resumed(mob: Mob) -> None:
    await mob.stop()
    await mob.resume()


COMMANDS: Final[dict[str, Act]] = {
    "spawn": lambda mob: mob.spawn("dev", "new"),
    "spawn with a first input": lambda mob: mob.spawn("dev", "new", "begin"),
    "spawn many": lambda mob: mob.spawn_many(
        [SpawnSpec(profile="dev", member_id=name) for name in ("a", "b")]
    ),
    "fork": lambda mob: mob.spawn_spec(
        SpawnSpec(profile="dev", member_id="new", launch_mode=Fork(source_member_id="lead"))
    ),
    "helper": lambda mob: mob.spawn_helper("look", member_id="helper"),
    "wire": lambda mob: mob.wire("dev", "ops"),
    "unwire": lambda mob: mob.unwire("lead", "dev"),
    "wire and unwire outside": _wired_outside,
    "retire": lambda mob: mob.retire("dev"),
    "retire all": lambda mob: mob.retire_all(),
    "respawn": lambda mob: mob.respawn("dev"),
    "stop and resume": _stopped_and_resumed,
    "complete": lambda mob: mob.complete(),
    "reset": lambda mob: mob.reset(),
    "redefine": lambda mob: mob.redefine(WIDER, expected_revision=1),
    "task": lambda mob: mob.tasks.create("dig"),
}


class Failing:
    """Lets one commit fail, the one of this number from now on; counts them."""

    def __init__(self, store: MemoryStore, patch: pytest.MonkeyPatch, number: int) -> None:
        self.count, self._number, self._commit = 0, number, store.commit
        patch.setattr(store, "commit", self._commit_or_not)

    async def _commit_or_not(self, appends: tuple[Append, ...], **more: object) -> object:
        self.count += 1
        if self.count == self._number:
            raise StoreFailed(path="the disk", why="no space is left")
        return await self._commit(appends, **more)  # type: ignore[arg-type]

    @property
    def was_met(self) -> bool:
        return self.count >= self._number


async def insist_on_one_truth(mob: Mob, kept: Kept) -> None:
    """Store, roster and network say the same."""
    told = await read_mob(kept.store, mob.id)
    assert (told.members, told.state, told.tasks) == (mob.members(), mob.state, mob.tasks.list())
    network = mob._context.network
    names = {e.member: comms_name(mob.id, e.profile, e.member) for e in mob.members()}
    for entry in mob.members():
        endpoint = network.endpoint(entry.member)
        assert endpoint is not None
        wanted = {names[peer] for peer in entry.wired_to} | entry.external_peers.keys()
        assert set(endpoint.peers) == wanted
        assert all(entry.member in e.wired_to for e in mob.members() if e.member in entry.wired_to)
    assert {e.member for e in mob.members()} == set(network._open)


async def insist_on_the_same_after_a_crash(mob: Mob, kept: Kept) -> None:
    """A realm that finds what is kept now has this mob, and no session beside its members'."""
    async with kept.as_it_is_now().realm(ScriptedLlm(lambda _: "ok")) as realm:
        again = await realm.resume_mob(mob.id)
        await again.wait_idle()
        assert [e.session_id for e in again.members()] == [e.session_id for e in mob.members()]
        assert {e.member: e.peers for e in again.members()} == {
            e.member: e.peers for e in mob.members()
        }
        assert (again.state, again.tasks.list()) == (mob.state, mob.tasks.list())
        left = {s.session_id for s in await realm.sessions.list(SessionQuery())}
        assert left == {e.session_id for e in mob.members()}


@pytest.mark.virtual_only
@pytest.mark.parametrize("name", COMMANDS)
async def test_whichever_write_fails_the_mob_is_as_before_or_as_after(name: str) -> None:
    number, met = 0, True
    while met:
        number += 1
        assert number < 50
        kept = Kept()
        async with kept.realm(ScriptedLlm(lambda _: "ok")) as realm:
            mob = await realm.create_mob(TEAM)
            await spawn_team(mob)
            with pytest.MonkeyPatch.context() as patch:
                failing = Failing(kept.store, patch, number)
                try:
                    await COMMANDS[name](mob)
                    await mob.wait_idle()
                except MeerkatError:
                    assert failing.was_met
                met = failing.was_met
            await insist_on_one_truth(mob, kept)
            await insist_on_the_same_after_a_crash(mob, kept)
            if mob.state is MobState.STOPPED:
                await mob.resume()
            if mob.state is MobState.RUNNING:
                await mob.spawn("ops", "later")
                assert await mob.member("later").ask("there?") == "ok"
                await insist_on_one_truth(mob, kept)


async def _left_behind() -> Kept:
    """What a kill leaves: work begun, work that waits, and a first turn."""
    kept = Kept()
    llm = ScriptedLlm({"lead": [hang()], "dev": ["ok"], "new": [hang()]})
    async with kept.realm(llm) as realm:
        mob = await realm.create_mob(TEAM)
        await spawn_team(mob)
        await mob.wire("dev", "ops")
        await mob.tasks.create("dig")
        await mob.member("dev").ask("remember")
        await mob.member("lead").send("begin")
        await mob.spawn("ops", "new", "your first")
        while len(llm.requests) < 3:
            await asyncio.sleep(0)
        await mob.member("lead").send("then this")
        return kept.as_it_is_now()


@pytest.mark.virtual_only
async def test_whichever_write_fails_a_mob_that_comes_back_comes_back_whole() -> None:
    """At once or when it is asked again; and nothing is lost or done twice by that."""
    number, met = 0, True
    while met:
        number += 1
        assert number < 100
        kept = await _left_behind()
        async with kept.realm(ScriptedLlm(lambda _: "ok")) as realm:
            with pytest.MonkeyPatch.context() as patch:
                failing = Failing(kept.store, patch, number)
                try:
                    mob = await realm.resume_mob("team")
                except MeerkatError:
                    assert failing.was_met
                    assert realm.mobs() == ()
                    mob = await realm.resume_mob("team")
                await mob.wait_idle()
                met = failing.was_met
            if any(entry.broken is not UNSET for entry in mob.members()):
                await mob.shutdown()
                mob = await realm.resume_mob("team")
                await mob.wait_idle()
            assert all(entry.broken is UNSET for entry in mob.members())
            heard = {e.member: await _heard(mob, e.session_id) for e in mob.members()}
            assert heard["lead"] == ["begin", "then this"]
            assert heard["dev"] == ["remember"]
            assert heard["new"].count("your first") == 1
            await insist_on_one_truth(mob, kept)
            await insist_on_the_same_after_a_crash(mob, kept)


async def _heard(mob: Mob, session_id: str) -> list[str]:
    history = await mob._context.sessions.read_history(session_id)
    texts = [text_of_message(m) for m in history.messages if isinstance(m, UserMessage)]
    return [text for text in texts if not text.startswith("[COMMS")]


# -- any story ---------------------------------------------------------------------------------

IDS = ("a", "b", "c")
PAIRED = a_team("lead", "dev", "ops", pairs=[("dev", "ops")])
member = st.sampled_from(IDS)
acts: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    st.tuples(st.just("spawn"), member, st.sampled_from(("dev", "ops"))),
    st.tuples(st.just("retire"), member),
    st.tuples(st.just("respawn"), member),
    st.tuples(st.just("wire"), member, member),
    st.tuples(st.just("unwire"), member, member),
    st.tuples(st.just("send"), member),
    st.tuples(st.sampled_from(("stop", "resume", "complete", "reset", "crash", "task"))),
)


class Story:
    """A mob that things are done to, and what was accepted for whom."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.sent: dict[str, list[str]] = {}
        self.count = 0

    async def do(self, mob: Mob, act: tuple[str, ...]) -> None:
        match act:
            case ("spawn", name, profile):
                await mob.spawn(profile, name)
            case ("send", name):
                self.count += 1
                text = f"message {self.count}"
                await mob.member(name).send(text)
                self.sent.setdefault(mob.member(name).session_id, []).append(text)
            case ("retire" | "respawn" as verb, name):
                await getattr(mob, verb)(name)
            case ("wire" | "unwire" as verb, a, b):
                await getattr(mob, verb)(a, b)
            case ("task",):
                await mob.tasks.create("dig")
            case (verb, *_):
                await getattr(mob, verb)()
            case _:
                raise AssertionError(act)

    async def insist_on_delivery(self, mob: Mob) -> None:
        """Who is there heard each message once, and in the order in which they were accepted."""
        await mob.wait_idle()
        for entry in mob.members():
            history = await mob._context.sessions.read_history(entry.session_id)
            heard = [
                text
                for m in history.messages
                if (text := getattr(m, "content", "")) and str(text).startswith("message ")
            ]
            if mob.state is MobState.RUNNING:
                assert heard == self.sent.get(entry.session_id, [])


@pytest.mark.virtual_only
@given(story=st.lists(acts, max_size=14))
async def test_whatever_is_done_roster_wiring_and_store_agree_and_nothing_is_lost(
    story: list[tuple[str, ...]],
) -> None:
    told = Story()
    chapters: list[list[tuple[str, ...]]] = [[("spawn", "a", "dev"), ("spawn", "b", "ops")]]
    for act in story:
        if act == ("crash",):
            chapters.append([])
        else:
            chapters[-1].append(act)
    for number, chapter in enumerate(chapters):
        async with told.kept.realm(ScriptedLlm(lambda _: "ok")) as realm:
            mob = await (realm.resume_mob("team") if number else realm.create_mob(PAIRED))
            for act in chapter:
                with suppress(MeerkatError):  # what is refused changes nothing
                    await told.do(mob, act)
                await insist_on_one_truth(mob, told.kept)
            await told.insist_on_delivery(mob)
            crashed = told.kept.as_it_is_now()
        told.kept = crashed
