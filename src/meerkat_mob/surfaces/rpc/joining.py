"""Methods by which members come: for good, or for one task (spec surfaces 3.6; mob 2.4, 2.10)."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.errors import MeerkatError
from meerkat_mob.mob import (
    ErrandResult,
    Fresh,
    LaunchMode,
    MemberSnapshot,
    Mob,
    Resume,
    SpawnSpec,
)
from meerkat_mob.mob.facts import SessionRef
from meerkat_mob.surfaces.rpc import params
from meerkat_mob.surfaces.rpc.faults import CallError, call_error
from meerkat_mob.surfaces.rpc.host import Host

T = TypeVar("T")

# -- results -----------------------------------------------------------------------------------


class Spawned(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member exists."""

    mob_id: str
    member: str
    member_ref: SessionRef
    session_id: str


class SpawnResult(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """One of many: ``ok`` with its session, or the error that kept it from being."""

    ok: bool
    member: str
    member_ref: SessionRef | msgspec.UnsetType = UNSET
    session_id: str | msgspec.UnsetType = UNSET
    error: CallError | msgspec.UnsetType = UNSET


class SpawnResults(msgspec.Struct, frozen=True, kw_only=True):
    """In the order they were asked for."""

    mob_id: str
    results: tuple[SpawnResult, ...]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """How members stand after their first turns, in the order they were asked for."""

    mob_id: str
    members: tuple[MemberSnapshot, ...]


# -- methods -----------------------------------------------------------------------------------


async def spawn(host: Host, given: params.SpawnOne) -> Spawned:
    """A new member, wired by the definition's rules."""
    member = await host.realm.mob(given.mob_id).spawn_spec(_spec(given))
    ref = SessionRef(session_id=member.session_id)
    return Spawned(
        mob_id=given.mob_id, member=member.id, member_ref=ref, session_id=member.session_id
    )


async def spawn_many(host: Host, given: params.SpawnMany) -> SpawnResults:
    """Many members, in order. What keeps one from being does not keep the next."""
    mob = host.realm.mob(given.mob_id)
    results = await asyncio.gather(*(_spawn_one(mob, wanted) for wanted in given.specs))
    return SpawnResults(mob_id=mob.id, results=tuple(results))


async def _spawn_one(mob: Mob, wanted: params.Spawn) -> SpawnResult:
    try:
        member = await mob.spawn_spec(_spec(wanted))
    except MeerkatError as error:
        return SpawnResult(ok=False, member=wanted.member, error=call_error(error))
    ref = SessionRef(session_id=member.session_id)
    return SpawnResult(ok=True, member=member.id, member_ref=ref, session_id=member.session_id)


def _spec(wanted: params.Spawn) -> SpawnSpec:
    first = wanted.initial_message
    return SpawnSpec(
        profile=wanted.profile,
        member_id=wanted.member,
        initial_message=None if first is None else params.content_of(first),
        kickoff=wanted.kickoff,
        runtime_mode=_or_unset(wanted.runtime_mode),
        labels=wanted.labels,
        context=_or_unset(wanted.context),
        additional_instructions=wanted.additional_instructions,
        shell_env=wanted.shell_env,
        launch_mode=_launch(wanted),
        tool_access_policy=wanted.tool_access_policy,
        budget_split_policy=_or_unset(wanted.budget_split_policy),
        auto_wire_parent=wanted.auto_wire_parent,
        parent=_or_unset(wanted.parent),
        override_profile=_or_unset(wanted.override_profile),
    )


def _launch(wanted: params.Spawn) -> LaunchMode:
    if wanted.resume_session_id is not None:
        return Resume(session_id=wanted.resume_session_id)
    return wanted.launch_mode or Fresh()


def _or_unset(given: T | None) -> T | UnsetType:
    return UNSET if given is None else given


async def spawn_helper(host: Host, given: params.Errand) -> ErrandResult:
    """A member for one task: it does it, its answer is the result, and it is gone."""
    return await host.realm.mob(given.mob_id).spawn_helper(
        params.content_of(given.prompt), member_id=given.member, options=given.options
    )


async def fork_helper(host: Host, given: params.ForkedErrand) -> ErrandResult:
    """The same, by one that remembers what another member said and heard."""
    return await host.realm.mob(given.mob_id).fork_helper(
        given.source_member_id,
        params.content_of(given.prompt),
        fork_context=given.fork_context,
        member_id=given.member,
        options=given.options,
    )


async def wait_kickoff(host: Host, given: params.WaitKickoff) -> Started:
    """Waits until members have had their first turn."""
    mob = host.realm.mob(given.mob_id)
    found = await mob.wait_for_kickoff(given.member_ids, timeout=given.timeout_ms / 1000)
    return Started(mob_id=mob.id, members=tuple(snapshot for _, snapshot in found))
