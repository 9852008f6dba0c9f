"""The methods about mobs. Each is a few lines over the realm: what they decide is decided there.

Whoever calls is outside the mob, so members are written to only if their profile allows that (U-1).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.mob import (
    MemberSnapshot,
    Mob,
    MobEvent,
    MobState,
    MobTask,
)
from meerkat_mob.mob.definition import (
    Diagnostic,
    RuntimeMode,
    decode_definition,
    errors_of,
    validate,
    warnings_of,
)
from meerkat_mob.mob.facts import Kickoff, SessionRef
from meerkat_mob.surfaces.rpc import params
from meerkat_mob.surfaces.rpc.host import Host

# -- results -----------------------------------------------------------------------------------


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A mob exists; ``warnings`` are findings that did not keep it from that."""

    mob_id: str
    warnings: tuple[Diagnostic, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a mob stands."""

    mob_id: str
    status: MobState
    member_count: int
    busy_members: tuple[str, ...]


class Mobs(msgspec.Struct, frozen=True, kw_only=True):
    """All mobs of the realm."""

    mobs: tuple[Status, ...]


class MemberView(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """A member of the roster, and how it stands."""

    member: str
    profile: str
    member_ref: SessionRef
    runtime_mode: RuntimeMode
    wired_to: tuple[str, ...]
    external_peers: tuple[str, ...]
    labels: Mapping[str, str]
    kickoff: Kickoff | msgspec.UnsetType
    error: str | msgspec.UnsetType
    status: str
    busy: bool
    is_final: bool


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """The roster, by member id."""

    mob_id: str
    members: tuple[MemberView, ...]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A member has it; ``input_id`` is what its end will be known by."""

    mob_id: str
    member_id: str
    session_id: str
    input_id: str
    handling_mode: HandlingMode


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename={"member": "meerkat_id"}):
    """What a member said once the whole mob was idle."""

    mob_id: str
    member: str
    text: str


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """The board, oldest task first."""

    mob_id: str
    tasks: tuple[MobTask, ...]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Stored facts, in order."""

    mob_id: str
    events: tuple[MobEvent, ...]


class StreamOpened(msgspec.Struct, frozen=True, kw_only=True):
    """Events follow as ``mob/stream_event``, until ``mob/stream_end``."""

    stream_id: str


# -- methods -----------------------------------------------------------------------------------


async def create(host: Host, given: params.CreateMob) -> Created:
    """A new mob without members. Raises ``DefinitionInvalid`` with every finding, ``MobExists``."""
    decoded = decode_definition(given.definition)
    definition, found = decoded.definition, decoded.diagnostics
    if definition is not None:
        found = (*found, *validate(definition))
    if definition is None or errors_of(found):
        raise DefinitionInvalid(diagnostics=found, source="definition")
    mob = await host.realm.create_mob(definition)
    return Created(mob_id=mob.id, warnings=warnings_of(found))


async def list_mobs(host: Host, _: params.Nothing) -> Mobs:
    """All mobs, by id."""
    return Mobs(mobs=tuple(_status(mob) for mob in host.realm.mobs()))


async def resume(host: Host, given: params.OfMob) -> Status:
    """A mob that this realm keeps is here again, as it was."""
    return _status(await host.realm.resume_mob(given.mob_id))


async def status(host: Host, given: params.OfMob) -> Status:
    """How a mob stands."""
    return _status(host.realm.mob(given.mob_id))


def _status(mob: Mob) -> Status:
    return Status(
        mob_id=mob.id,
        status=mob.state,
        member_count=len(mob.members()),
        busy_members=mob.busy_members(),
    )


async def members(host: Host, given: params.OfMob) -> Members:
    """Who is in it, who is wired to whom, and who is at work."""
    mob = host.realm.mob(given.mob_id)
    views: list[MemberView] = []
    for entry in mob.members():
        snapshot = await mob.member_status(entry.member)
        views.append(
            MemberView(
                member=entry.member,
                profile=entry.profile,
                member_ref=SessionRef(session_id=entry.session_id),
                runtime_mode=entry.runtime_mode,
                wired_to=tuple(sorted(entry.wired_to)),
                external_peers=tuple(sorted(entry.external_peers)),
                labels=entry.labels,
                kickoff=entry.kickoff,
                error=snapshot.error,
                status=snapshot.status,
                busy=snapshot.busy,
                is_final=snapshot.is_final,
            )
        )
    return Members(mob_id=mob.id, members=tuple(views))


async def member_send(host: Host, given: params.MemberSend) -> Sent:
    """Gives a member something to work on; returns once it is accepted."""
    receipt = await host.realm.mob(given.mob_id).send(
        given.member,
        params.content_of(given.content),
        handling_mode=given.handling_mode,
        idempotency_key=given.idempotency_key,
    )
    return Sent(
        mob_id=given.mob_id,
        member_id=receipt.member_id,
        session_id=receipt.session_id,
        input_id=receipt.input_id,
        handling_mode=receipt.handling_mode,
    )


async def member_status(host: Host, given: params.OfMember) -> MemberSnapshot:
    """How a member stands; ``unknown`` when there is none of that id."""
    return await host.realm.mob(given.mob_id).member_status(given.member)


async def ask(host: Host, given: params.Ask) -> Answer:
    """Gives a member something to work on, waits until the mob is idle, returns what it said."""
    member = host.realm.mob(given.mob_id).addressable(given.member)
    text = await member.ask(params.content_of(given.content), timeout=_seconds(given.timeout_ms))
    return Answer(mob_id=given.mob_id, member=member.id, text=text)


async def wait_idle(host: Host, given: params.WaitIdle) -> Status:
    """Waits until nobody works or will."""
    mob = host.realm.mob(given.mob_id)
    await mob.wait_idle(timeout=_seconds(given.timeout_ms))
    return _status(mob)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


async def tasks(host: Host, given: params.OfMob) -> Tasks:
    """The task board."""
    return Tasks(mob_id=given.mob_id, tasks=host.realm.mob(given.mob_id).tasks.list())


async def events(host: Host, given: params.Events) -> EventPage:
    """Stored facts after a cursor."""
    mob = host.realm.mob(given.mob_id)
    page = await mob.poll_events(given.after_cursor, given.limit)
    return EventPage(mob_id=mob.id, events=tuple(page))


async def stream_open(host: Host, given: params.StreamOpen) -> StreamOpened:
    """Begins to push a mob's events, or one member's."""
    mob = host.realm.mob(given.mob_id)
    stream_id = host.streams.open(mob, member=given.member, after=given.after_cursor)
    return StreamOpened(stream_id=stream_id)


async def stream_close(host: Host, given: params.StreamClose) -> params.Nothing:
    """Ends a stream."""
    await host.streams.close(given.stream_id)
    return params.Nothing()


async def lifecycle(host: Host, given: params.Lifecycle) -> Status:
    """Stops a mob, lets it work again, has it be done or begin anew, or ends it."""
    mob = host.realm.mob(given.mob_id)
    match given.action:
        case "stop":
            await mob.stop()
        case "resume":
            await mob.resume()
        case "complete":
            await mob.complete()
        case "reset":
            await mob.reset()
        case "destroy":
            await mob.destroy()
    return _status(mob)
