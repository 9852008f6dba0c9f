"""Who is in the mob: a fold over its facts, and nothing else (spec mob 1.5)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from meerkat_mob.mob.definition import RuntimeMode
from meerkat_mob.mob.events import Fact, MemberSpawned, PeersWired


class RosterEntry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    rename={"member": "meerkat_id"},
):
    """One member. ``wired_to`` holds member ids."""

    member: str
    profile: str
    session_id: str
    runtime_mode: RuntimeMode
    labels: Mapping[str, str]
    wired_to: frozenset[str] = frozenset()


class Roster:
    """The members, by id. Replaying the same facts gives the same roster."""

    def __init__(self) -> None:
        self._entries: dict[str, RosterEntry] = {}

    def apply(self, fact: Fact) -> None:
        """Folds one fact in. Facts about other things change nothing."""
        match fact:
            case MemberSpawned():
                self._entries[fact.member] = RosterEntry(
                    member=fact.member,
                    profile=fact.profile,
                    session_id=fact.member_ref.session_id,
                    runtime_mode=fact.runtime_mode,
                    labels={} if fact.labels is UNSET else fact.labels,
                )
            case PeersWired(a=a, b=b):
                self._wire(a, b)
                self._wire(b, a)
            case _:
                pass

    def _wire(self, member: str, peer: str) -> None:
        if entry := self._entries.get(member):
            self._entries[member] = msgspec.structs.replace(entry, wired_to=entry.wired_to | {peer})

    def get(self, member: str) -> RosterEntry | None:
        """A member by id."""
        return self._entries.get(member)

    def list(self) -> tuple[RosterEntry, ...]:
        """All members, by id."""
        return tuple(self._entries[k] for k in sorted(self._entries))

    def by_profile(self, profile: str) -> tuple[RosterEntry, ...]:
        """The members of a profile, by id."""
        return tuple(e for e in self.list() if e.profile == profile)

    def __len__(self) -> int:
        return len(self._entries)
