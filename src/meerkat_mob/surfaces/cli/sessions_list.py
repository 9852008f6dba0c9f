"""``meerkat-mob sessions list``: one row for each session, and what else there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.errors import MeerkatError
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.sessions.outside import KeptSessions, KeptSummary, list_kept
from meerkat_mob.sessions.views import SessionQuery
from meerkat_mob.surfaces.cli.columns import GAP, in_columns
from meerkat_mob.surfaces.cli.exit_codes import OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import ListOptions, labels_of
from meerkat_mob.surfaces.cli.palette import BAD, QUIET, WARN
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat

ONE_LINE_FROM: Final = 120
"""Columns from which a session's labels stand in its row, and not below it."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints. ``damage`` is what is wrong with the realm as a whole, or null."""

    sessions: tuple[KeptSummary, ...]
    offset: int
    total: int
    next_offset: int | None
    archived_left_out: int
    damaged: int
    damage: str | None


async def _listed(options: ListOptions) -> Listed:
    query = SessionQuery(
        limit=options.limit, offset=options.offset, labels=labels_of(options.labels)
    )
    async with realm_from_outside(options.realm) as realm:
        found = await list_kept(realm.reader, query, archived=options.archived)
        return Listed(damage=realm.damage or None, **msgspec.structs.asdict(found))


def show_list(options: ListOptions, streams: Streams) -> int:
    """Prints a page of the realm's sessions. Returns the exit code."""
    listed = asyncio.run(_listed(options))
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(listed))
        return OK
    for line in rows(listed.sessions, streams.out, now=now_ms()):
        streams.out.print(line, soft_wrap=True)
    for line in remarks(listed, options):
        streams.err.print(line, soft_wrap=True)
    return OK


# -- rows --------------------------------------------------------------------------------------


def rows(sessions: Sequence[KeptSummary], console: Console, *, now: int) -> Iterator[Text]:
    """A heading, then a line for each session; in a narrow terminal its labels stand below it."""
    if not sessions:
        return
    in_one_line = not console.is_terminal or console.width >= ONE_LINE_FROM
    model = ("model",) if in_one_line else ()
    table = [("id", "updated", "messages", "tokens", *model)]
    table += [_cells(one, now, with_model=in_one_line) for one in sessions]
    head, *lines = in_columns(table, right={2, 3})
    yield Text(f"{head}{GAP}labels" if in_one_line else head, QUIET)
    for one, line in zip(sessions, lines, strict=True):
        row, rest = Text(line), _rest(one)
        if in_one_line:
            yield (row + Text(GAP) + rest) if rest else row
            continue
        yield row
        below = Text.assemble(GAP, (flat(one.model or ""), QUIET), GAP if one.model else "", rest)
        below.truncate(console.width, overflow="ellipsis")
        yield below


def _cells(one: KeptSummary, now: int, *, with_model: bool) -> tuple[str, ...]:
    model = (flat(one.model or ""),) if with_model else ()
    if one.damaged:
        return flat(one.session_id), "?", "?", "?", *model
    return (
        flat(one.session_id),
        ago(one.updated_at or 0, now),
        f"{one.message_count:,}",
        f"{one.total_tokens:,}",
        *model,
    )


def _rest(one: KeptSummary) -> Text:
    if one.damaged:
        return Text("damaged: its summary is not what was committed", BAD)
    archived = ("archived" + (GAP if one.labels else ""), WARN) if one.archived else ("", "")
    return Text.assemble(archived, (told_labels(one.labels), QUIET))


def told_labels(labels: Mapping[str, str]) -> str:
    """Labels as the option ``--label`` takes them."""
    return " ".join(f"{flat(name)}={flat(value)}" for name, value in sorted(labels.items()))


# -- what else there is ------------------------------------------------------------------------


def remarks(listed: Listed, options: ListOptions) -> Iterator[Text]:
    """What the rows do not say."""
    if listed.damage is not None:
        yield told_damage(listed.damage)
    if listed.damaged:
        what = counted(listed.damaged, "damaged session")
        yield Text(f"{what}: 'meerkat-mob sessions verify {options.realm}' says more", WARN)
    yield Text(_place(listed, options), QUIET)


def told_damage(damage: str) -> Text:
    """What is wrong with a realm as a whole."""
    return Text.assemble(("damaged", BAD), f": {damage}; 'sessions verify' says more")


def _place(listed: Listed, options: ListOptions) -> str:
    count, hidden = len(listed.sessions), ""
    if listed.archived_left_out:
        hidden = f"; {listed.archived_left_out:,} archived, --archived shows them"
    if count:
        first = f"{listed.offset + 1:,} to " if listed.offset else ""
        told = f"{first}{listed.offset + count:,} of {listed.total:,}"
        more = listed.next_offset
        return told + ("" if more is None else f"; --offset {more} for the next") + hidden
    if listed.total:
        return f"there are only {counted(listed.total, 'session')}: leave out --offset{hidden}"
    if options.labels:
        return f"no session has these labels: leave out --label to see all{hidden}"
    if hidden:
        return f"no session but archived ones{hidden}"
    return (
        f"{options.realm} keeps no session yet: "
        f"'meerkat-mob run TEAM TASK --realm {options.realm}' makes some"
    )


# -- completion --------------------------------------------------------------------------------


def completions(realm: Path, typed: str) -> list[tuple[str, str]]:
    """The sessions whose id begins so, with their labels. None where there is no realm."""

    async def found() -> KeptSessions:
        async with realm_from_outside(realm) as opened:
            return await list_kept(opened.reader, SessionQuery(), archived=True)

    try:
        sessions = asyncio.run(found()).sessions
    except (MeerkatError, OSError):
        return []
    return [
        (one.session_id, told_labels(one.labels))
        for one in sessions
        if one.session_id.startswith(typed)
    ]
