"""What those who watch a mob are shown: its facts, and what its members' runs say."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.mob.facts import (
    CapabilityMissing,
    ExternalPeerUnwired,
    ExternalPeerWired,
    Fact,
    KickoffUpdated,
    MemberBroken,
    MemberRestored,
    MemberRetired,
    MemberSpawned,
    PeersUnwired,
    PeersWired,
    TaskUpdated,
)


class MobEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored fact with its place; ``cursor`` counts from 1, ``timestamp`` is ms UTC."""

    cursor: int
    timestamp: int
    mob_id: str
    kind: Fact


class MemberEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"member": "source"}):
    """Something a member's run said about itself. Not stored."""

    member: str
    profile: str
    envelope: EventEnvelope


class Lagged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reader was too slow and missed this many member events; no fact is missing."""

    skipped: int


AnyEvent: TypeAlias = MobEvent | MemberEvent | Lagged


def is_about(event: AnyEvent, member: str) -> bool:
    """Whether an event is a member's: what its runs say, and the facts that name it.

    That a reader missed something concerns everybody who reads.
    """
    match event:
        case MemberEvent(member=name):
            return name == member
        case MobEvent(kind=kind):
            return member in _named_by(kind)
        case Lagged():
            return True


def _named_by(fact: Fact) -> tuple[str | None, ...]:
    match fact:
        case MemberSpawned() | MemberRetired() | MemberBroken() | MemberRestored():
            return (fact.member,)
        case KickoffUpdated() | CapabilityMissing():
            return (fact.member,)
        case PeersWired() | PeersUnwired():
            return fact.a, fact.b
        case ExternalPeerWired() | ExternalPeerUnwired():
            return (fact.local,)
        case TaskUpdated():
            return (fact.owner,)
        case _:
            return ()
