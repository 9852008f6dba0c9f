"""Who may write to whom, changed while the mob runs (spec mob 2.8, 7.7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from meerkat_mob.comms import PeerMessage
from meerkat_mob.errors import (
    InvalidTransition,
    MemberNotFound,
    PeerNotFound,
    StoreFailed,
    WiringRefused,
)
from meerkat_mob.llm import Script, ScriptedLlm, call
from meerkat_mob.mob import ExternalPeer, Mob, open_realm
from meerkat_mob.mob.definition import MobDefinition
from tests.mob.teams import a_profile, a_team, incoming

LOOSE = MobDefinition(id="team", profiles={"dev": a_profile()})
OUTSIDER = ExternalPeer(name="other/dev/cy", peer_id="k", address="inproc://other/dev/cy")


async def kinds(mob: Mob) -> list[str]:
    return [type(event.kind).__name__ for event in await mob.poll_events(limit=1000)]


def wired(mob: Mob) -> dict[str, list[str]]:
    return {e.member: sorted(e.peers) for e in mob.members()}


async def write(mob: Mob, sender: str, to: str) -> None:
    endpoint = mob._context.network.endpoint(sender)
    assert endpoint
    await endpoint.send(to, PeerMessage(body="hi"))


async def a_pair(mob: Mob) -> None:
    await mob.spawn("dev", "ann")
    await mob.spawn("dev", "bob")


async def test_a_wire_is_one_fact_both_ways_and_a_second_time_nothing() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted")) as realm:
        mob = await realm.create_mob(LOOSE)
        await a_pair(mob)
        with pytest.raises(PeerNotFound):
            await write(mob, "ann", "bob")
        assert await mob.wire("ann", "bob")
        assert not await mob.wire("ann", "bob")
        assert not await mob.wire("bob", "ann")
        assert wired(mob) == {"ann": ["bob"], "bob": ["ann"]}
        assert (await kinds(mob)).count("PeersWired") == 1
        await write(mob, "ann", "bob")
        await write(mob, "bob", "ann")
        assert await mob.unwire("bob", "ann")
        assert not await mob.unwire("ann", "bob")
        assert wired(mob) == {"ann": [], "bob": []}
        assert (await kinds(mob))[-1] == "PeersUnwired"
        for sender, to in (("ann", "bob"), ("bob", "ann")):
            with pytest.raises(PeerNotFound):
                await write(mob, sender, to)


async def test_both_are_told_and_neither_is_woken() -> None:
    with ScriptedLlm({"ann": ["hello"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(LOOSE)
            await a_pair(mob)
            await mob.wire("ann", "bob")
            await mob.unwire("ann", "bob")
            await mob.wait_idle()
            assert llm.requests == []
            await mob.member("ann").ask("well?")
    news = [text for text in incoming(llm.requests[-1]) if "COMMS REQUEST" in text]
    assert ["mob.peer_added" in text for text in news] == [True, False]
    assert "mob.peer_unwired" in news[1]
    assert '"peer":"team/dev/bob"' in news[1]


REFUSED: tuple[tuple[Callable[[Mob], Awaitable[bool]], type[Exception]], ...] = (
    (lambda mob: mob.wire("ann", "ann"), WiringRefused),
    (lambda mob: mob.unwire("ann", "ann"), WiringRefused),
    (lambda mob: mob.wire("ann", "cy"), MemberNotFound),
    (lambda mob: mob.wire("cy", "ann"), MemberNotFound),
    (lambda mob: mob.unwire("cy", "ann"), MemberNotFound),
    (lambda mob: mob.wire("ann", ExternalPeer(name="cy")), WiringRefused),
    (lambda mob: mob.wire("ann", ExternalPeer(name="other//cy")), WiringRefused),
    (lambda mob: mob.wire("ann", ExternalPeer(name="team/dev/bob")), WiringRefused),
    (lambda mob: mob.wire("cy", OUTSIDER), MemberNotFound),
)


@pytest.mark.parametrize(("what", "error"), REFUSED)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    what: Callable[[Mob], Awaitable[bool]], error: type[Exception]
) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(LOOSE)
        await a_pair(mob)
        before = await kinds(mob)
        with pytest.raises(error):
            await what(mob)
        assert await kinds(mob) == before
        assert wired(mob) == {"ann": [], "bob": []}


async def test_nobody_that_is_not_there_is_unwired_without_a_word() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(LOOSE)
        await a_pair(mob)
        assert not await mob.unwire("ann", "cy")
        assert not await mob.unwire("ann", OUTSIDER)
        await mob.stop()
        for refused in (mob.wire("ann", "bob"), mob.unwire("ann", "bob")):
            with pytest.raises(InvalidTransition, match="Stopped"):
                await refused


async def test_a_fact_that_cannot_be_kept_wires_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(LOOSE)
        await a_pair(mob)

        async def broken(*args: object, **more: object) -> None:
            raise StoreFailed(path="realm", why="the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(mob._context.journal._store, "commit", broken)
            with pytest.raises(StoreFailed):
                await mob.wire("ann", "bob")
        assert wired(mob) == {"ann": [], "bob": []}
        with pytest.raises(PeerNotFound):
            await write(mob, "ann", "bob")
        assert await mob.wire("ann", "bob")


async def test_members_of_two_mobs_write_to_each_other_once_both_sides_want_it() -> None:
    script: Script = {
        "team/dev/ann": [call("send_message", to="other/dev/cy", body="hello"), "sent"],
        "other/dev/cy": ["thanks"],
    }
    other = MobDefinition(id="other", profiles={"dev": a_profile()})
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob, far = await realm.create_mob(LOOSE), await realm.create_mob(other)
            await a_pair(mob)
            await far.spawn("dev", "cy")
            assert await mob.wire("ann", OUTSIDER)
            assert not await mob.wire("ann", OUTSIDER)
            with pytest.raises(PeerNotFound):
                await write(mob, "ann", OUTSIDER.name)
            await far.wire("cy", ExternalPeer(name="team/dev/ann"))
            assert wired(mob)["ann"] == [OUTSIDER.name]
            peers = (await mob.member_status("ann")).peer_connectivity
            assert peers
            assert peers.reachable_peer_count == 1
            await mob.member("ann").ask("say hello")
            await far.wait_idle()
            assert (await far.member_status("cy")).output_preview == "thanks"


async def test_an_outsider_is_known_as_it_was_last_told_and_forgotten_by_name_or_whole() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(LOOSE)
        await a_pair(mob)
        newer = ExternalPeer(name=OUTSIDER.name, peer_id="k2")
        assert await mob.wire("ann", OUTSIDER)
        assert await mob.wire("ann", newer)
        with pytest.raises(WiringRefused, match="another"):
            await mob.unwire("ann", OUTSIDER)
        assert await mob.unwire("ann", newer.name)
        assert not await mob.unwire("ann", newer.name)
        assert (await kinds(mob)).count("ExternalPeerUnwired") == 1


async def test_news_stops_where_a_profile_has_had_enough() -> None:
    quiet = a_profile(max_inline_peer_notifications=0)
    team = a_team("lead", "dev", profiles={"dev": quiet})
    with ScriptedLlm({"dev": ["k"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(team)
            await mob.spawn("dev", "dev")
            await mob.spawn("lead", "lead")
            await mob.retire("lead")
            await mob.member("dev").ask("?")
    assert [text for text in incoming(llm.requests[-1]) if "COMMS" in text] == []
