"""Who can be written to, and the way there.

A message goes only where both sides trust each other. ``send`` returns once the receiver's
runtime has accepted it, never before; a receiver that cannot take it refuses with a typed error
that the sender sees, so nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from meerkat_mob.comms.envelope import Envelope, EnvelopeKind
from meerkat_mob.errors import CommsError, PeerNotFound, WiringRefused

Deliver = Callable[[Envelope], Awaitable[None]]
"""Hands an envelope to its receiver's runtime; returns once it was accepted."""


class PeerSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer as others see it; ``name`` is ``mob/profile/member``."""

    name: str
    role: str
    description: str = ""


class Endpoint:
    """One agent's place in the network: its name, whom it trusts, and its sending side."""

    def __init__(self, router: Router, me: PeerSpec, deliver: Deliver) -> None:
        self._router, self.me, self._deliver = router, me, deliver
        self._trusted: dict[str, PeerSpec] = {}

    @property
    def peers(self) -> Mapping[str, PeerSpec]:
        """Those it trusts, by name."""
        return self._trusted

    def trust(self, peer: PeerSpec) -> None:
        """Lets messages pass to and from ``peer``, as far as this side is concerned."""
        self._trusted[peer.name] = peer

    def distrust(self, name: str) -> None:
        """Takes that back. Unknown names are fine."""
        self._trusted.pop(name, None)

    def resolve(self, to: str) -> str:
        """The full name behind ``to``: a name as it is, or a bare id inside the own mob.

        Raises ``PeerNotFound``, naming who can be written to.
        """
        if to in self._trusted:
            return to
        mob = self.me.name.split("/")[0]
        bare = [name for name in self._trusted if _is_member(name, mob, to)]
        if len(bare) != 1:
            raise PeerNotFound(name=to, known=sorted(self._trusted))
        return bare[0]

    async def send(self, to: str, kind: EnvelopeKind) -> Envelope:
        """Sends to a peer and returns what was delivered.

        Raises ``PeerNotFound`` (unknown, gone, or it does not trust us), ``CommsError`` once this
        endpoint is closed, and what the receiver's runtime refuses with (``InboxFull``,
        ``RuntimeNotReady``).
        """
        envelope = self._router.seal(self, self.resolve(to), kind)
        try:
            await self._router.route(envelope)
        except PeerNotFound:
            others = sorted(self._trusted.keys() - {envelope.to})
            raise PeerNotFound(name=to, known=others) from None
        return envelope

    async def learn(self, news: Envelope) -> None:
        """Takes news about a peer from the mob itself, whether that peer is trusted or not."""
        await self._deliver(news)

    async def receive(self, envelope: Envelope) -> None:
        """Takes an envelope if its sender is trusted here too; else there is nobody of the name."""
        if envelope.sender not in self._trusted:
            raise PeerNotFound(name=envelope.to, known=())
        await self._deliver(envelope)


def _is_member(name: str, mob: str, member: str) -> bool:
    match name.split("/"):
        case [its_mob, _, its_member]:
            return (its_mob, its_member) == (mob, member)
        case _:
            return False


class Router:
    """The endpoints of one realm, by name. A name has one live holder at a time."""

    def __init__(self, *, ids: Callable[[], str]) -> None:
        self._ids = ids
        self._endpoints: dict[str, Endpoint] = {}

    def open(self, me: PeerSpec, deliver: Deliver) -> Endpoint:
        """A new endpoint. Raises ``WiringRefused`` when the name is held."""
        if me.name in self._endpoints:
            raise WiringRefused(f"the name {me.name!r} has a live holder: retire it first")
        return self.admit(Endpoint(self, me, deliver))

    def has(self, name: str) -> bool:
        """Whether somebody of that name is there."""
        return name in self._endpoints

    def admit(self, endpoint: Endpoint) -> Endpoint:
        """Gives an endpoint its name, whoever had it before."""
        self._endpoints[endpoint.me.name] = endpoint
        return endpoint

    def news(self, *, about: str, to: str, kind: EnvelopeKind) -> Envelope:
        """What the mob itself tells ``to`` about a peer."""
        return Envelope(id=self._ids(), sender=about, to=to, kind=kind)

    def close(self, endpoint: Endpoint) -> None:
        """Frees the endpoint's name, if it still holds it."""
        if self._endpoints.get(endpoint.me.name) is endpoint:
            del self._endpoints[endpoint.me.name]

    def seal(self, sender: Endpoint, to: str, kind: EnvelopeKind) -> Envelope:
        """An envelope with an id of its own. Raises ``CommsError`` unless the sender is open."""
        if self._endpoints.get(sender.me.name) is not sender:
            raise CommsError(f"{sender.me.name} has left the network: it can send nothing more")
        return Envelope(id=self._ids(), sender=sender.me.name, to=to, kind=kind)

    async def route(self, envelope: Envelope) -> None:
        """Delivers to the holder of the name, and returns once it has accepted."""
        endpoint = self._endpoints.get(envelope.to)
        if endpoint is None:
            raise PeerNotFound(name=envelope.to, known=())
        await endpoint.receive(envelope)
