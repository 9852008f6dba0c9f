"""Profiles that a realm keeps for all its mobs, each with a revision (spec mob 1.3, 5.1).

A profile is a stream of its own, whose revision is the profile's: a change that somebody else was
faster with is refused by the store itself. A revision is never used twice, also where a profile was
deleted and made anew, so nobody changes another one than was read.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import (
    DefinitionInvalid,
    RealmProfileNotFound,
    RevisionConflict,
    StaleRevision,
    StoreCorrupt,
)
from meerkat_mob.mob.definition import (
    MobDefinition,
    Profile,
    check_profile,
    errors_of,
)
from meerkat_mob.store.protocol import Append, Head, NewRecord, Store

_PREFIX: Final = "profile:"
_KEPT, _DELETED = "profile_kept", "profile_deleted"


class RealmProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile as the realm keeps it; times in ms UTC, ``revision`` grows with every change."""

    name: str
    profile: Profile
    revision: int
    created_at: int
    updated_at: int


_reader: Final = msgspec.json.Decoder(RealmProfile)


class RealmProfiles:
    """The profiles of a realm, by name. A role of any definition may be one of them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._now = store, clock

    async def create(self, name: str, profile: Profile) -> RealmProfile:
        """Keeps a new one. Raises ``RevisionConflict`` for a name that there is.

        ``DefinitionInvalid`` tells all that is wrong with it; what it names of a mob (skills,
        servers) is looked for when a member is made from it.
        """
        _insist_on_sound(name, profile)
        head = await self._head(name)
        if head is not None and head.summary:
            raise _conflict(name, expected=0, actual=head.revision)
        return await self._keep(name, profile, 0 if head is None else head.revision)

    async def get(self, name: str) -> RealmProfile | None:
        """One of them; None if there is none. Raises ``StoreCorrupt``."""
        head = await self._head(name)
        return None if head is None or not head.summary else _read(head)

    async def list(self) -> tuple[RealmProfile, ...]:
        """All of them, by name. Raises ``StoreCorrupt`` for one that cannot be read."""
        found: list[RealmProfile] = []
        after: str | None = None
        while heads := await self._store.heads(_PREFIX, after=after):
            after = heads[-1].stream
            found += [_read(head) for head in heads if head.summary or head.damaged]
        return tuple(found)

    async def update(self, name: str, profile: Profile, *, expected_revision: int) -> RealmProfile:
        """Changes one; members that are there stay as they were made, until they begin anew.

        Raises ``RealmProfileNotFound``, ``RevisionConflict`` when it was changed since it was
        read, and ``DefinitionInvalid``.
        """
        _insist_on_sound(name, profile)
        former = await self._at(name, expected_revision)
        return await self._keep(name, profile, expected_revision, created_at=former.created_at)

    async def delete(self, name: str, *, expected_revision: int) -> RealmProfile:
        """Takes one away and returns it. Raises as ``update`` does."""
        former = await self._at(name, expected_revision)
        record = NewRecord(kind=_DELETED, body=b"{}")
        await self._commit(name, record, expected_revision, summary=b"")
        return former

    async def _at(self, name: str, revision: int) -> RealmProfile:
        found = await self.get(name)
        if found is None:
            known = [profile.name for profile in await self.list()]
            raise RealmProfileNotFound(name=name, known=known)
        if found.revision != revision:
            raise _conflict(name, expected=revision, actual=found.revision)
        return found

    async def _keep(
        self, name: str, profile: Profile, revision: int, *, created_at: int | None = None
    ) -> RealmProfile:
        now = self._now()
        kept = RealmProfile(
            name=name,
            profile=profile,
            revision=revision + 1,
            created_at=now if created_at is None else created_at,
            updated_at=now,
        )
        body = msgspec.json.encode(kept)
        await self._commit(name, NewRecord(kind=_KEPT, body=body), revision, summary=body)
        return kept

    async def _commit(self, name: str, record: NewRecord, expected: int, *, summary: bytes) -> None:
        stream = _PREFIX + name
        append = Append(stream=stream, expected=expected, records=(record,), head=summary)
        try:
            await self._store.commit((append,))
        except StaleRevision:
            actual = await self._store.revision(stream)
            raise _conflict(name, expected=expected, actual=actual) from None

    async def _head(self, name: str) -> Head | None:
        return await self._store.head(_PREFIX + name)


def _conflict(name: str, *, expected: int, actual: int) -> RevisionConflict:
    return RevisionConflict(what=f"realm profile {name!r}", expected=expected, actual=actual)


def _insist_on_sound(name: str, profile: Profile) -> None:
    """Raises ``DefinitionInvalid`` for what no mob could make a member from."""
    alone = MobDefinition(id="realm", profiles={name: profile})
    if faults := errors_of(check_profile(alone, name, profile)):
        raise DefinitionInvalid(diagnostics=faults, source="realm profile")


def _read(head: Head) -> RealmProfile:
    why = "the profile in it cannot be read"
    if not head.damaged:
        try:
            return _reader.decode(head.summary)
        except (msgspec.DecodeError, ValueError) as fault:
            why = f"{why}: {fault}"
    raise StoreCorrupt(stream=head.stream, seq=head.revision, why=why)
