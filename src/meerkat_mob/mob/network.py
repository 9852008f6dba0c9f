"""Who of a mob can be written to, and by whom: it follows from the mob's facts.

The rule: an endpoint opens, trusts, forgets and closes in the step in which the fact is kept that
says so. So memory and store never part, and nothing has to be undone when a commit fails.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec import UNSET

from meerkat_mob.comms import PEER_ADDED, Endpoint, PeerRequest, PeerSpec, Router
from meerkat_mob.core.ids import comms_name
from meerkat_mob.errors import InboxFull, MeerkatError, RuntimeNotReady
from meerkat_mob.mob.facts import (
    ExternalPeer,
    ExternalPeerUnwired,
    ExternalPeerWired,
    Fact,
    MemberRetired,
    MemberSpawned,
    MobCompleted,
    MobDestroyed,
    MobReset,
    PeersUnwired,
    PeersWired,
)
from meerkat_mob.mob.roster import Roster, RosterEntry


class Network:
    """The endpoints of a mob's members. It follows the journal, behind the roster."""

    def __init__(self, mob_id: str, router: Router, roster: Roster) -> None:
        self._mob_id, self._router, self._roster = mob_id, router, roster
        self._prepared: dict[str, Endpoint] = {}
        self._open: Final[dict[str, Endpoint]] = {}

    def prepare(self, session_id: str, endpoint: Endpoint) -> None:
        """The endpoint of a member to be; it opens when the member's fact is kept."""
        self._prepared[session_id] = endpoint

    def forget(self, session_id: str) -> None:
        """There will be no such member."""
        self._prepared.pop(session_id, None)

    def endpoint(self, member: str) -> Endpoint | None:
        """A member's endpoint; None for one that is not there, or broken."""
        return self._open.get(member)

    def apply(self, fact: Fact) -> None:
        """Follows one fact. Never raises."""
        match fact:
            case MemberSpawned(member=member):
                self.enter(member, fact.member_ref.session_id)
            case MemberRetired(member=member):
                self._leave(member)
            case MobReset() | MobCompleted() | MobDestroyed():
                self.close()
            case PeersWired(a=a, b=b):
                self._trust(a, b)
            case PeersUnwired(a=a, b=b):
                self._distrust(a, self._open.get(b))
                self._distrust(b, self._open.get(a))
            case ExternalPeerWired(local=local, spec=spec):
                if endpoint := self._open.get(local):
                    endpoint.trust(_outsider(spec))
            case ExternalPeerUnwired(local=local, peer_name=name):
                if endpoint := self._open.get(local):
                    endpoint.distrust(name)
            case _:
                pass

    def enter(self, member: str, session_id: str) -> None:
        """The endpoint that was prepared for a session is the member's, and can be reached."""
        if endpoint := self._prepared.pop(session_id, None):
            self._open[member] = self._router.admit(endpoint)

    def connect(self, entry: RosterEntry) -> None:
        """Trust between a member and all it is wired to, as far as they are there."""
        endpoint = self._open.get(entry.member)
        if endpoint is None:
            return
        for peer in entry.wired_to:
            self._trust(entry.member, peer)
        for outsider in entry.external_peers.values():
            endpoint.trust(_outsider(outsider))

    def _trust(self, a: str, b: str) -> None:
        one, other = self._open.get(a), self._open.get(b)
        if one is not None and other is not None:
            one.trust(other.me)
            other.trust(one.me)

    def _distrust(self, member: str, other: Endpoint | None) -> None:
        endpoint = self._open.get(member)
        if endpoint is not None and other is not None:
            endpoint.distrust(other.me.name)

    def _leave(self, member: str) -> None:
        gone = self._open.pop(member, None)
        if gone is None:
            return
        self._router.close(gone)
        for endpoint in self._open.values():
            endpoint.distrust(gone.me.name)

    def close(self) -> None:
        """Frees all names."""
        for endpoint in self._open.values():
            self._router.close(endpoint)
        self._open.clear()

    # -- news ----------------------------------------------------------------------------------

    def spec(self, entry: RosterEntry, description: str = "") -> PeerSpec:
        """A member as others see it."""
        name = comms_name(self._mob_id, entry.profile, entry.member)
        return PeerSpec(name=name, role=entry.profile, description=description)

    async def tell(
        self, reader: str, intent: str, about: PeerSpec, *, limit: int | None
    ) -> MeerkatError | None:
        """News of a peer, unless the reader's profile says it has enough of it.

        ``limit`` is its ``max_inline_peer_notifications``: 0 tells nothing, a positive number stops
        beyond that many peers, None and -1 always tell. A reader whose inbox takes no more is not
        told: ``peers`` is the truth, not the news. Returns what kept it from being told.
        """
        endpoint = self._open.get(reader)
        if endpoint is None or (limit is not None and 0 <= limit < len(endpoint.peers)):
            return None
        if limit == 0:
            return None
        params = {"peer": about.name, "role": about.role}
        if intent == PEER_ADDED:
            params["description"] = about.description
        news = self._router.news(
            about=about.name, to=endpoint.me.name, kind=PeerRequest(intent=intent, params=params)
        )
        try:
            with suppress(InboxFull, RuntimeNotReady):
                await endpoint.learn(news)
        except MeerkatError as fault:
            return fault
        return None

    def is_there(self, entry: RosterEntry) -> bool:
        """Whether a member can be reached."""
        return entry.broken is UNSET and entry.member in self._open


def _outsider(spec: ExternalPeer) -> PeerSpec:
    return PeerSpec(name=spec.name, role="external")
