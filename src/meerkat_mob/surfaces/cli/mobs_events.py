"""``meerkat-mob events``: the facts of a mob, one in a line, and new ones as they come.

Another process may hold the realm: what is seen are the facts it keeps. What its members say while
they say it is not kept, so it is not seen here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path

import msgspec
from rich.text import Text

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import CapabilityUnavailable
from meerkat_mob.mob.events import MobEvent
from meerkat_mob.mob.facts import encode_fact
from meerkat_mob.mob.kept import kept_events
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.surfaces.cli.exit_codes import OK
from meerkat_mob.surfaces.cli.mobs_show import chosen
from meerkat_mob.surfaces.cli.options import EventsOptions
from meerkat_mob.surfaces.cli.palette import QUIET
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import flat, moment, shortened

LONGEST = 200
"""Characters of a fact in a line for people."""
STEP_MS = 50
"""So long changes of the file are gathered before anybody looks."""


def show_events(options: EventsOptions, streams: Streams) -> int:
    """Prints them. Returns the exit code; with ``follow`` it ends when it is interrupted."""

    def show(event: MobEvent) -> None:
        if options.json:
            streams.out.file.write(msgspec.json.encode(event).decode() + "\n")
            streams.out.file.flush()
        else:
            streams.out.print(_line(event), soft_wrap=True)

    asyncio.run(_events(options, show))
    return OK


async def _events(options: EventsOptions, show: Callable[[MobEvent], None]) -> None:
    async with realm_from_outside(options.realm) as realm:
        mob = await chosen(realm.reader, options.mob)
        cursor = options.after
        changes = _changes(options.realm) if options.follow else _once()
        async with aclosing(changes):
            async for _ in changes:
                async with aclosing(kept_events(realm.reader, mob, after=cursor)) as events:
                    async for event in events:
                        cursor = event.cursor
                        show(event)


async def _once() -> AsyncGenerator[None, None]:
    yield


async def _changes(realm: Path) -> AsyncGenerator[None, None]:
    """At once, and then whenever a file of the realm's folder has changed: told by the system.

    Raises ``CapabilityUnavailable`` where watchfiles is not installed.
    """
    try:
        from watchfiles import awatch
    except ModuleNotFoundError:
        raise CapabilityUnavailable(
            capability="events --follow",
            why="the module watchfiles is not installed",
            instead="pip install meerkat-mob[cli] adds it",
        ) from None
    changes = awatch(realm, watch_filter=None, debounce=STEP_MS, step=STEP_MS, recursive=False)
    ahead = asyncio.ensure_future(anext(changes))
    try:
        yield
        while True:
            with suppress(StopAsyncIteration):
                await ahead
            ahead = asyncio.ensure_future(anext(changes))
            yield
    finally:
        ahead.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await ahead
        await changes.aclose()


def _line(event: MobEvent) -> Text:
    fact: Json = msgspec.json.decode(encode_fact(event.kind))
    told = fact if isinstance(fact, dict) else {}
    kind = flat(str(told.pop("type", "")))
    told.pop("definition", None)
    rest = shortened(msgspec.json.encode(told).decode(), "…", most=LONGEST) if told else ""
    return Text.assemble(
        (f"{event.cursor:>5}  {moment(event.timestamp)}  ", QUIET), kind, (f"  {rest}", QUIET)
    )
