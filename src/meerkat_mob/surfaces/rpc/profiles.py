"""Methods about the profiles that a realm keeps for its mobs (spec surfaces 3.6; mob 1.3)."""

from __future__ import annotations

import msgspec

from meerkat_mob.mob import RealmProfile
from meerkat_mob.surfaces.rpc import params
from meerkat_mob.surfaces.rpc.host import Host


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One, or null where there is none."""

    profile: RealmProfile | None


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, by name."""

    profiles: tuple[RealmProfile, ...]


async def create(host: Host, given: params.NewProfile) -> RealmProfile:
    """Keeps a new one."""
    return await host.realm.profiles.create(given.name, given.profile)


async def get(host: Host, given: params.NamedProfile) -> Found:
    """One of them."""
    return Found(profile=await host.realm.profiles.get(given.name))


async def list_profiles(host: Host, _: params.Nothing) -> Profiles:
    """All that the realm keeps."""
    return Profiles(profiles=await host.realm.profiles.list())


async def update(host: Host, given: params.ChangedProfile) -> RealmProfile:
    """Changes one, if nobody did since it was read."""
    return await host.realm.profiles.update(
        given.name, given.profile, expected_revision=given.expected_revision
    )


async def delete(host: Host, given: params.ProfileAt) -> RealmProfile:
    """Takes one away, if nobody changed it since it was read."""
    return await host.realm.profiles.delete(given.name, expected_revision=given.expected_revision)
