"""A mob comes back from its facts: the same members, sessions, wiring, messages and tasks (2.13).

What cannot be brought back is broken, with a reason, and hurts nobody else. What a crash left
behind (sessions that are no member's) is archived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec
from msgspec import UNSET

from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.reserved import SESSION_METADATA
from meerkat_mob.errors import (
    MeerkatError,
    MobError,
    MobNotFound,
    ProfileNotFound,
    SessionNotFound,
)
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import MobDefinition, restore_definition
from meerkat_mob.mob.facts import (
    MemberBroken,
    MemberRestored,
    MobCreated,
    MobRedefined,
    decode_fact,
)
from meerkat_mob.mob.kept import kept_mobs
from meerkat_mob.mob.kickoff import first_input, is_unfinished, kick_off
from meerkat_mob.mob.provisioning import Provision, attach, go_on
from meerkat_mob.mob.request import SpawnSpec
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import is_bound_to
from meerkat_mob.mob.state import MobState
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.store.protocol import Store

T = TypeVar("T")


async def definition_of(store: Store, mob_id: str) -> MobDefinition:
    """The definition a mob has by now.

    Raises ``MobNotFound``, naming those that the store has.
    """
    found, cursor = None, 0
    while records := await store.read(f"mob:{mob_id}", after=cursor):
        cursor = records[-1].seq
        for record in records:
            if record.kind in {"mob_created", "mob_redefined"}:
                fact = decode_fact(record.body)
                if isinstance(fact, MobCreated | MobRedefined):
                    found = restore_definition(bytes(fact.definition))
    if found is None:
        raise MobNotFound(mob_id=mob_id, known=await kept_mobs(store))
    return found


async def bring_back(context: MobContext) -> None:
    """Members with their sessions and inboxes, and what was going on. The facts are folded already.

    A stopped mob comes back stopped. Members come back side by side, so that their commits share
    the waits for the disk. Raises ``StoreError`` when nothing can be kept.
    """
    entries = context.roster.list()
    lives = await _side_by_side(_is_back(context, entry) for entry in entries)
    back = [entry for entry, is_back in zip(entries, lives, strict=True) if is_back]
    for entry in back:
        context.network.enter(entry.member, entry.session_id)
    for entry in back:
        context.network.connect(entry)
    await _archive_orphans(context)
    await _side_by_side(_begin(context, entry) for entry in back)


async def _begin(context: MobContext, entry: RosterEntry) -> None:
    """Its inbox goes on, and so does a first turn that was not taken to its end."""
    held = context.journal.state is MobState.STOPPED
    context.watch(entry)
    await attach(context, entry.session_id, entry.runtime_mode, held=held)
    first = first_input(context.mob_id, spec_of(entry))
    if is_unfinished(entry) and first is not None:
        await kick_off(context, entry, first)


async def _side_by_side(works: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """All of them, in their order. The first fault ends the others, and is raised behind them."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _is_back(context: MobContext, entry: RosterEntry) -> bool:
    """Whether its session lives, with all its tools. If not, it is broken, and that is kept."""
    try:
        await revive(context, entry)
    except MeerkatError as fault:
        reason = str(fault)
    else:
        if entry.broken is not UNSET:
            await context.journal.record(lambda: (MemberRestored(member=entry.member),))
        return True
    if entry.broken != reason:
        await context.journal.record(lambda: (MemberBroken(member=entry.member, reason=reason),))
    context.network.forget(entry.session_id)
    return False


def spec_of(entry: RosterEntry) -> SpawnSpec:
    """How a member was asked for; one from before that was kept, by what is known of it."""
    if entry.request is not UNSET:
        return entry.request
    return SpawnSpec(
        profile=entry.profile,
        member_id=entry.member,
        runtime_mode=entry.runtime_mode,
        labels=entry.labels,
    )


async def revive(context: MobContext, entry: RosterEntry) -> None:
    """The member's session goes on under its id and with its history, with tools made anew.

    Its prompt, model and settings are those that are kept with it. Raises ``SessionNotFound``,
    ``MobError`` when it is somebody else's, and what making it raises.
    """
    session_id, sessions = entry.session_id, context.sessions
    profile = context.profile_of(entry)
    if profile is None:
        raise ProfileNotFound(profile=entry.profile, known=tuple(context.definition.roles))
    document = await sessions.export_session(session_id)
    metadata = SESSION_METADATA.read(document.metadata)
    name = comms_name(context.mob_id, entry.profile, entry.member)
    if metadata is None or metadata.comms_name != name or not is_bound_to(metadata, context.mob_id):
        raise MobError(f"session {session_id} says of itself that it is not this member's")
    spec = msgspec.structs.replace(spec_of(entry), runtime_mode=entry.runtime_mode)
    made = Provision(spec=spec, profile=profile, session_id=session_id)
    await go_on(context, made, document)


async def _archive_orphans(context: MobContext) -> None:
    """Sessions that were made for this mob and are no member's: a crash cut a spawn short."""
    members = {entry.session_id for entry in context.roster.list()}
    query = SessionQuery(labels={"mob_id": context.mob_id})
    for summary in await context.sessions.list(query):
        session_id = summary.session_id
        if session_id in members:
            continue
        if await context.service.session_belongs_to_mob(session_id, context.mob_id):
            with suppress(SessionNotFound):
                await context.sessions.archive(session_id)
