"""Who is in the mob: a fold over its facts, and nothing else (spec mob 1.5)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from meerkat_mob.mob.definition import RuntimeMode
from meerkat_mob.mob.facts import (
    ExternalPeer,
    ExternalPeerUnwired,
    ExternalPeerWired,
    Fact,
    Kickoff,
    KickoffUpdated,
    MemberBroken,
    MemberRestored,
    MemberRetired,
    MemberSpawned,
    MobCompleted,
    MobDestroyed,
    MobReset,
    PeersUnwired,
    PeersWired,
)
from meerkat_mob.mob.profiles import RealmProfile
from meerkat_mob.mob.request import SpawnSpec


class RosterEntry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    rename={"member": "meerkat_id"},
):
    """One member. ``wired_to`` holds member ids, ``external_peers`` those outside by name.

    ``kickoff`` is how its first input stands, if it was given one; ``broken`` why it could not be
    brought back; ``request`` how it was asked for; ``realm_profile`` what it was made from, where
    its role is a profile of the realm.
    """

    member: str
    profile: str
    session_id: str
    runtime_mode: RuntimeMode
    labels: Mapping[str, str]
    wired_to: frozenset[str] = frozenset()
    external_peers: Mapping[str, ExternalPeer] = {}
    kickoff: Kickoff | UnsetType = UNSET
    broken: str | UnsetType = UNSET
    request: SpawnSpec | UnsetType = UNSET
    realm_profile: RealmProfile | UnsetType = UNSET

    @property
    def peers(self) -> frozenset[str]:
        """All it is wired to: member ids, and names of those outside."""
        return self.wired_to | self.external_peers.keys()


class Roster:
    """The members, by id. Replaying the same facts gives the same roster."""

    def __init__(self) -> None:
        self._entries: dict[str, RosterEntry] = {}
        self._listed: tuple[RosterEntry, ...] | None = None
        self._with_outsiders: set[str] = set()

    def apply(self, fact: Fact) -> None:
        """Folds one fact in. Facts about other things change nothing."""
        self._listed = None
        match fact:
            case MemberSpawned():
                self._entries[fact.member] = _entry(fact)
            case MemberRetired():
                self._remove(fact.member)
            case MemberBroken(member=member, reason=reason):
                self._change(member, broken=reason)
            case MemberRestored(member=member):
                self._change(member, broken=UNSET)
            case KickoffUpdated(member=member, kickoff=kickoff):
                self._change(member, kickoff=kickoff)
            case MobReset() | MobCompleted() | MobDestroyed():
                self._entries.clear()
                self._with_outsiders.clear()
            case _:
                self._wiring(fact)

    def _wiring(self, fact: Fact) -> None:
        match fact:
            case PeersWired(a=a, b=b):
                self._wire(a, b)
                self._wire(b, a)
            case PeersUnwired(a=a, b=b):
                self._unwire(a, b)
                self._unwire(b, a)
            case ExternalPeerWired(local=local, spec=spec):
                if entry := self._entries.get(local):
                    self._change(local, external_peers={**entry.external_peers, spec.name: spec})
                    self._with_outsiders.add(local)
            case ExternalPeerUnwired(local=local, peer_name=name):
                if entry := self._entries.get(local):
                    kept = {k: v for k, v in entry.external_peers.items() if k != name}
                    self._change(local, external_peers=kept)
            case _:
                pass

    def _wire(self, member: str, peer: str) -> None:
        if entry := self._entries.get(member):
            self._change(member, wired_to=entry.wired_to | {peer})

    def _unwire(self, member: str, peer: str) -> None:
        if entry := self._entries.get(member):
            self._change(member, wired_to=entry.wired_to - {peer})

    def _remove(self, member: str) -> None:
        gone = self._entries.pop(member, None)
        self._with_outsiders.discard(member)
        for peer in gone.wired_to if gone else ():
            self._unwire(peer, member)

    def _change(self, member: str, **values: object) -> None:
        if entry := self._entries.get(member):
            self._entries[member] = replace(entry, **values)

    def get(self, member: str) -> RosterEntry | None:
        """A member by id."""
        return self._entries.get(member)

    def list(self) -> tuple[RosterEntry, ...]:
        """All members, by id."""
        if self._listed is None:
            self._listed = tuple(self._entries[k] for k in sorted(self._entries))
        return self._listed

    def acquainted(self, outsider: str) -> RosterEntry | None:
        """A member that is wired to somebody outside of this name."""
        for member in sorted(self._with_outsiders):
            if outsider in self._entries[member].external_peers:
                return self._entries[member]
        return None

    def by_profile(self, profile: str) -> tuple[RosterEntry, ...]:
        """The members of a profile, by id."""
        return tuple(e for e in self.list() if e.profile == profile)

    def find_by_label(self, name: str, value: str) -> tuple[RosterEntry, ...]:
        """The members with this label, by id."""
        return tuple(e for e in self.list() if e.labels.get(name) == value)

    def __len__(self) -> int:
        return len(self._entries)


def _entry(fact: MemberSpawned) -> RosterEntry:
    return RosterEntry(
        member=fact.member,
        profile=fact.profile,
        session_id=fact.member_ref.session_id,
        runtime_mode=fact.runtime_mode,
        labels={} if fact.labels is UNSET else fact.labels,
        request=fact.request,
        realm_profile=fact.realm_profile,
    )
