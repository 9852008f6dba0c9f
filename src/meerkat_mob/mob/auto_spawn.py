"""Members that come when they are first written to (spec mob 2.11)."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TypeAlias

from meerkat_mob.mob.definition import AutoSpawn, MobDefinition
from meerkat_mob.mob.request import SpawnSpec

SpawnPolicy: TypeAlias = Callable[[str], SpawnSpec | None]
"""The member to be made for an id that nobody has; None makes nobody."""


def nobody(member_id: str) -> SpawnSpec | None:
    """The policy by which no member comes by itself."""
    del member_id
    return None


def policy_of(definition: MobDefinition) -> SpawnPolicy:
    """What a definition says: ids, or patterns such as ``worker-*``, with their profiles.

    An id that is written out wins over patterns, an earlier pattern over a later one.
    """
    policy = definition.spawn_policy
    if not isinstance(policy, AutoSpawn):
        return nobody
    profiles = policy.profile_map

    def resolve(member_id: str) -> SpawnSpec | None:
        fitting = (role for form, role in profiles.items() if fnmatchcase(member_id, form))
        role = profiles.get(member_id) or next(fitting, None)
        return None if role is None else SpawnSpec(profile=role, member_id=member_id)

    return resolve
