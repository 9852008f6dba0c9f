"""``meerkat-mob ps`` and ``status``: the mobs of a realm, and one of them, by their facts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.errors import InvalidParams, MeerkatError, MobNotFound
from meerkat_mob.mob.kept import KeptMob, kept_mobs, read_mob
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.state import MobState
from meerkat_mob.sessions.outside import KeptSummary, list_kept
from meerkat_mob.sessions.views import SessionQuery
from meerkat_mob.store import StoreReader
from meerkat_mob.surfaces.cli.columns import GAP, in_columns
from meerkat_mob.surfaces.cli.exit_codes import DAMAGED, OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import MobOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, WARN
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat

STYLES: Final = {
    MobState.RUNNING: GOOD,
    MobState.STOPPED: WARN,
    MobState.COMPLETED: QUIET,
    MobState.DESTROYED: QUIET,
    MobState.CREATING: WARN,
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A mob in a list; ``--json`` prints it."""

    mob_id: str
    state: MobState
    members: int
    broken: int
    open_tasks: int
    facts: int
    updated_at: int
    damage: str | None


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A member with what its session's summary tells; ``--json`` prints it.

    ``kickoff`` is the phase of its first turn. Null is what nobody knows, or what is not there.
    """

    member: str
    profile: str
    session_id: str
    runtime_mode: str
    wired_to: tuple[str, ...]
    kickoff: str | None
    broken: str | None
    message_count: int | None
    total_tokens: int | None
    updated_at: int | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One mob; ``--json`` prints it."""

    mob: Shown
    members: tuple[Seat, ...]
    tasks: tuple[object, ...]


# -- ps ----------------------------------------------------------------------------------------


def show_mobs(options: MobOptions, streams: Streams) -> int:
    """Prints a row for each mob. Returns the exit code."""
    mobs = asyncio.run(_all(options.realm))
    if options.json:
        document = {"mobs": [_shown(mob) for mob in mobs]}
        write_json(streams.out.file, msgspec.json.encode(document))
    else:
        for line in _rows(mobs, now=now_ms()):
            streams.out.print(line, soft_wrap=True)
        streams.err.print(Text(_remark(mobs, options.realm), QUIET), soft_wrap=True)
    return DAMAGED if any(mob.damage for mob in mobs) else OK


async def _all(realm: Path) -> list[KeptMob]:
    async with realm_from_outside(realm) as opened:
        return [await read_mob(opened.reader, name) for name in await kept_mobs(opened.reader)]


def _shown(mob: KeptMob) -> Shown:
    return Shown(
        mob_id=mob.mob_id,
        state=mob.state,
        members=len(mob.members),
        broken=sum(entry.broken is not UNSET for entry in mob.members),
        open_tasks=mob.open_tasks,
        facts=mob.facts,
        updated_at=mob.updated_at,
        damage=mob.damage or None,
    )


def _rows(mobs: Sequence[KeptMob], *, now: int) -> Iterator[Text]:
    if not mobs:
        return
    table = [("mob", "state", "members", "open tasks", "last fact")]
    for mob in mobs:
        shown = _shown(mob)
        broken = f" ({shown.broken} broken)" if shown.broken else ""
        table.append(
            (
                flat(mob.mob_id),
                mob.state.value,
                f"{shown.members}{broken}",
                str(shown.open_tasks),
                ago(mob.updated_at, now) if mob.facts else "?",
            )
        )
    head, *lines = in_columns(table)
    yield Text(head.rstrip(), QUIET)
    for mob, line in zip(mobs, lines, strict=True):
        damaged = Text(f"{GAP}damaged", BAD) if mob.damage else Text()
        yield Text(line.rstrip()) + damaged


def _remark(mobs: Sequence[KeptMob], realm: Path) -> str:
    if not mobs:
        return f"{realm} keeps no mob yet: 'meerkat-mob run TEAM TASK --realm {realm}' makes one"
    running = [mob for mob in mobs if mob.state in {MobState.RUNNING, MobState.STOPPED}]
    told = counted(len(mobs), "mob")
    if not running:
        return told
    return f"{told}; 'meerkat-mob resume {realm} {running[0].mob_id}' brings one back"


# -- status ------------------------------------------------------------------------------------


def show_status(options: MobOptions, streams: Streams) -> int:
    """Prints how a mob stands. Returns the exit code."""
    mob, seats = asyncio.run(_one(options))
    if options.json:
        standing = Standing(mob=_shown(mob), members=seats, tasks=mob.tasks)
        write_json(streams.out.file, msgspec.json.encode(standing))
    else:
        _show(mob, seats, streams.out)
    if mob.damage:
        streams.err.print(Text.assemble(("damaged", BAD), f": {mob.damage}"), soft_wrap=True)
    return DAMAGED if mob.damage else OK


async def _one(options: MobOptions) -> tuple[KeptMob, tuple[Seat, ...]]:
    async with realm_from_outside(options.realm) as opened:
        mob = await read_mob(opened.reader, await chosen(opened.reader, options.mob))
        query = SessionQuery(labels={"mob_id": mob.mob_id})
        found = await list_kept(opened.reader, query, archived=True)
        summaries = {one.session_id: one for one in found.sessions}
        return mob, tuple(_seat(e, summaries.get(e.session_id)) for e in mob.members)


async def chosen(reader: StoreReader, wanted: str | None) -> str:
    """The mob that is meant: the one named, or the only one there is.

    Raises ``MobNotFound``, and ``InvalidParams`` where there are several, naming them.
    """
    known = await kept_mobs(reader)
    if wanted is not None:
        if wanted not in known:
            raise MobNotFound(mob_id=wanted, known=known)
        return wanted
    if len(known) != 1:
        there = ", ".join(known) or "none"
        raise InvalidParams(
            what=f"the realm keeps {counted(len(known), 'mob')}: {there}",
            path="MOB",
            hint="name one",
        )
    return known[0]


def _seat(entry: RosterEntry, summary: KeptSummary | None) -> Seat:
    return Seat(
        member=entry.member,
        profile=entry.profile,
        session_id=entry.session_id,
        runtime_mode=entry.runtime_mode,
        wired_to=tuple(sorted(entry.peers)),
        kickoff=None if entry.kickoff is UNSET else entry.kickoff.phase,
        broken=None if entry.broken is UNSET else entry.broken,
        message_count=None if summary is None else summary.message_count,
        total_tokens=None if summary is None else summary.total_tokens,
        updated_at=None if summary is None else summary.updated_at,
    )


def _show(mob: KeptMob, seats: Sequence[Seat], console: Console) -> None:
    head = Text.assemble((flat(mob.mob_id), "bold"), " ", (mob.state.value, STYLES[mob.state]))
    console.print(head + Text(f"  {counted(len(seats), 'member')}", QUIET), soft_wrap=True)
    if seats:
        for line in _table(seats, now=now_ms()):
            console.print(line, soft_wrap=True)
    for seat in seats:
        if seat.broken:
            told = Text.assemble((seat.member, "bold"), (" broken", BAD), f": {flat(seat.broken)}")
            console.print(told, soft_wrap=True)
    for number, task in enumerate(mob.tasks, 1):
        owner = f" ({flat(task.owner)})" if task.owner else ""
        told = Text.assemble((f"#{number} ", QUIET), flat(task.subject), (owner, QUIET))
        console.print(told + Text(f"  {task.status}", QUIET), soft_wrap=True)


def _table(seats: Sequence[Seat], *, now: int) -> Iterator[Text]:
    table = [("member", "role", "messages", "tokens", "last run", "first turn", "wired to")]
    table += [
        (
            flat(one.member),
            flat(one.profile),
            _number(one.message_count),
            _number(one.total_tokens),
            "?" if one.updated_at is None else ago(one.updated_at, now),
            one.kickoff or "-",
            ", ".join(map(flat, one.wired_to)) or "-",
        )
        for one in seats
    ]
    head, *lines = in_columns(table, right={2, 3})
    yield Text(head.rstrip(), QUIET)
    for line in lines:
        yield Text(line.rstrip())


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


# -- completion --------------------------------------------------------------------------------


def completions(realm: Path, typed: str) -> list[tuple[str, str]]:
    """The mobs whose id begins so, with their states. None where there is no realm."""
    try:
        mobs = asyncio.run(_all(realm))
    except (MeerkatError, OSError):
        return []
    return [(mob.mob_id, mob.state.value) for mob in mobs if mob.mob_id.startswith(typed)]
