"""``meerkat-mob inputs``: what sessions were given to do, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.runtime.inbox import InputPhase
from meerkat_mob.runtime.outside import KeptInput, read_inputs
from meerkat_mob.sessions.outside import find_kept, list_kept
from meerkat_mob.sessions.views import SessionQuery
from meerkat_mob.surfaces.cli.exit_codes import OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import InboxOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, WARN
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints: those that were asked for, and how many of all are how far."""

    inputs: tuple[KeptInput, ...]
    queued: int
    consumed: int
    abandoned: int


async def _inputs(options: InboxOptions) -> Inputs:
    async with realm_from_outside(options.realm) as realm:
        if options.session is None:
            every = await list_kept(realm.reader, SessionQuery(), archived=True)
            ids = [one.session_id for one in every.sessions if not one.damaged]
        else:
            ids = [await find_kept(realm.reader, options.session)]
        found = [one for name in ids for one in await read_inputs(realm.reader, name)]
    states = [one.state for one in found]
    waiting = [one for one in found if one.state is InputPhase.QUEUED]
    return Inputs(
        inputs=tuple(found if options.all or options.session is not None else waiting),
        queued=len(waiting),
        consumed=states.count(InputPhase.CONSUMED),
        abandoned=states.count(InputPhase.ABANDONED),
    )


def show_inputs(options: InboxOptions, streams: Streams) -> int:
    """Prints the inputs of a session, or those of a realm that wait. Returns the exit code."""
    told = asyncio.run(_inputs(options))
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(told))
        return OK
    for line in rows(told.inputs, streams.out, now=now_ms()):
        streams.out.print(line, soft_wrap=True)
    total = told.queued + told.consumed + told.abandoned
    hidden = total - len(told.inputs)
    remark = (
        f"{counted(total, 'input')}: {told.consumed:,} consumed, {told.abandoned:,} abandoned, "
        f"{told.queued:,} waiting" + ("; --all shows those that have ended" if hidden else "")
    )
    streams.err.print(Text(remark, QUIET), soft_wrap=True)
    return OK


def rows(inputs: Sequence[KeptInput], out: Console, *, now: int) -> Iterator[Text]:
    """A line for each: when, from whom, what became of it, and what it says."""
    for one in inputs:
        line = Text.assemble(
            (f"{ago(one.accepted_at, now):>9}  ", QUIET),
            (flat(one.source), "bold"),
            f" {one.kind.replace('_', ' ')} ",
            _end(one),
            (f"  {flat(one.text)}" if one.text else ""),
        )
        if out.is_terminal:
            line.truncate(out.width, overflow="ellipsis")
        yield line


def _end(one: KeptInput) -> tuple[str, str]:
    match one.state:
        case InputPhase.CONSUMED:
            return "consumed", GOOD
        case InputPhase.ABANDONED:
            return f"abandoned ({one.reason})", BAD
        case _:
            again = f", found {one.recoveries} times after a restart" if one.recoveries else ""
            return f"waiting{again}", WARN
