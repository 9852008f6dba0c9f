"""What those who watch a mob are shown: its facts, and what its members' runs say."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.mob.facts import Fact


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
