"""A message goes where both sides trust each other, and is delivered or refused."""

from __future__ import annotations

import pytest

from meerkat_mob.comms import Endpoint, Envelope, PeerMessage, PeerSpec, Router
from meerkat_mob.errors import CommsError, InboxFull, PeerNotFound, WiringRefused
from meerkat_mob.testing.builders import some_ids

HELLO = PeerMessage(body="hello")


class Network:
    """Endpoints by short name, and what each of them received."""

    def __init__(self, *names: str) -> None:
        self.router = Router(ids=some_ids("envelope"))
        self.got: dict[str, list[Envelope]] = {}
        self.at: dict[str, Endpoint] = {}
        for name in names:
            self.join(name)

    def join(self, name: str) -> Endpoint:
        received = self.got[name] = []

        async def deliver(envelope: Envelope) -> None:
            received.append(envelope)

        self.at[name] = self.router.open(PeerSpec(name=name, role="dev"), deliver)
        return self.at[name]

    def befriend(self, a: str, b: str) -> None:
        self.at[a].trust(self.at[b].me)
        self.at[b].trust(self.at[a].me)


ANN, BOB, EVE = "team/dev/ann", "team/ops/bob", "other/dev/ann"


async def test_friends_reach_each_other_and_the_envelope_says_who_and_what() -> None:
    network = Network(ANN, BOB)
    network.befriend(ANN, BOB)
    sent = await network.at[ANN].send(BOB, HELLO)
    assert sent == Envelope(id="envelope-1", sender=ANN, to=BOB, kind=HELLO)
    assert network.got == {ANN: [], BOB: [sent]}
    await network.at[BOB].send(ANN, HELLO)
    assert [e.id for e in network.got[ANN]] == ["envelope-2"]


async def test_messages_arrive_in_the_order_they_were_sent() -> None:
    network = Network(ANN, BOB)
    network.befriend(ANN, BOB)
    for n in range(5):
        await network.at[ANN].send(BOB, PeerMessage(body=str(n)))
    assert [e.kind for e in network.got[BOB]] == [PeerMessage(body=str(n)) for n in range(5)]


@pytest.mark.parametrize(("a_trusts", "b_trusts"), [(False, False), (True, False), (False, True)])
async def test_trust_of_one_side_is_not_enough(*, a_trusts: bool, b_trusts: bool) -> None:
    network = Network(ANN, BOB)
    if a_trusts:
        network.at[ANN].trust(network.at[BOB].me)
    if b_trusts:
        network.at[BOB].trust(network.at[ANN].me)
    with pytest.raises(PeerNotFound):
        await network.at[ANN].send(BOB, HELLO)
    assert network.got[BOB] == []


async def test_trust_can_be_taken_back() -> None:
    network = Network(ANN, BOB)
    network.befriend(ANN, BOB)
    network.at[BOB].distrust(ANN)
    network.at[BOB].distrust("nobody")
    with pytest.raises(PeerNotFound):
        await network.at[ANN].send(BOB, HELLO)
    assert dict(network.at[ANN].peers) == {BOB: network.at[BOB].me}


async def test_a_bare_id_means_a_member_of_the_own_mob() -> None:
    network = Network("team/ops/x", ANN, EVE)
    network.befriend("team/ops/x", ANN)
    network.befriend("team/ops/x", EVE)
    me = network.at["team/ops/x"]
    assert (me.resolve("ann"), me.resolve(ANN), me.resolve(EVE)) == (ANN, ANN, EVE)


@pytest.mark.parametrize("to", ["bob", "dev", "dev/ann", "team", "", "ops/bob/x", "team/dev/bob"])
async def test_an_unknown_name_is_told_who_there_is(to: str) -> None:
    network = Network("team/ops/x", ANN, EVE, "lonely")
    for friend in (ANN, EVE, "lonely"):
        network.befriend("team/ops/x", friend)
    with pytest.raises(PeerNotFound) as caught:
        await network.at["team/ops/x"].send(to, HELLO)
    assert caught.value.known == ("lonely", EVE, ANN)
    assert f"no peer {to!r}; you can write to: lonely, {EVE}, {ANN}" in str(caught.value)


async def test_a_bare_id_that_two_have_names_neither() -> None:
    network = Network("team/ops/x", ANN, "team/qa/ann")
    network.befriend("team/ops/x", ANN)
    network.befriend("team/ops/x", "team/qa/ann")
    with pytest.raises(PeerNotFound):
        network.at["team/ops/x"].resolve("ann")


async def test_names_without_parts_are_names_too() -> None:
    network = Network("a", "b")
    network.befriend("a", "b")
    await network.at["a"].send("b", HELLO)
    assert len(network.got["b"]) == 1


async def test_one_who_has_gone_is_not_offered_again() -> None:
    network = Network(ANN, BOB, EVE)
    network.befriend(ANN, BOB)
    network.befriend(ANN, EVE)
    network.router.close(network.at[BOB])
    with pytest.raises(PeerNotFound) as caught:
        await network.at[ANN].send("bob", HELLO)
    assert (caught.value.name, caught.value.known) == ("bob", (EVE,))


async def test_who_has_left_sends_nothing_more() -> None:
    network = Network(ANN, BOB)
    network.befriend(ANN, BOB)
    network.router.close(network.at[ANN])
    with pytest.raises(CommsError, match="has left"):
        await network.at[ANN].send(BOB, HELLO)
    assert network.got[BOB] == []


async def test_a_name_has_one_live_holder() -> None:
    network = Network(ANN)
    with pytest.raises(WiringRefused, match="live holder"):
        network.join(ANN)


async def test_a_freed_name_is_taken_anew_and_a_late_goodbye_does_not_free_it() -> None:
    network = Network(ANN, BOB)
    former = network.at[ANN]
    network.router.close(former)
    network.join(ANN)
    network.befriend(ANN, BOB)
    network.router.close(former)
    await network.at[BOB].send(ANN, HELLO)
    assert len(network.got[ANN]) == 1
    with pytest.raises(CommsError):
        await former.send(BOB, HELLO)


async def test_what_the_receiver_refuses_with_reaches_the_sender() -> None:
    network = Network(ANN)

    async def full(envelope: Envelope) -> None:
        raise InboxFull(session_id="s", bound=2)

    bob = network.router.open(PeerSpec(name=BOB, role="ops"), full)
    network.at[ANN].trust(bob.me)
    bob.trust(network.at[ANN].me)
    with pytest.raises(InboxFull, match="wait until it has worked"):
        await network.at[ANN].send(BOB, HELLO)
