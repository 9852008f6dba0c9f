"""``meerkat-mob inputs``: what sessions were given to do, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.runtime import InputPhase, RuntimeState
from meerkat_mob.runtime.outside import KeptInbox, KeptInput, asked_for, read_inbox
from meerkat_mob.surfaces.cli.columns import GAP, in_columns
from meerkat_mob.surfaces.cli.exit_codes import OK, exit_code
from meerkat_mob.surfaces.cli.findings import show_failure
from meerkat_mob.surfaces.cli.jsonlines import Failure, damage_of, write_json
from meerkat_mob.surfaces.cli.options import InboxOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, LONGEST_ARGS, QUIET, WARN, laid, signs_for
from meerkat_mob.surfaces.cli.sessions_list import told_damage
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat, shortened

STATES: Final[Mapping[InputPhase, tuple[str, str]]] = {
    InputPhase.QUEUED: ("waits", WARN),
    InputPhase.STAGED: ("waits", WARN),
    InputPhase.CONSUMED: ("consumed", GOOD),
    InputPhase.ABANDONED: ("abandoned", BAD),
}
"""How a state is told to people, and its colour."""


class InboxTold(msgspec.Struct, frozen=True, kw_only=True):
    """What a session accepted, in numbers. Of a damaged one they are as of before the damage."""

    session_id: str
    state: RuntimeState
    accepted: int
    queued: int
    consumed: int
    abandoned: int
    damage: Failure | None


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints: the inputs that were asked for, and how many of all are how far.

    ``sessions`` has one for each session that was looked at. ``damage`` is what is wrong with the
    realm as a whole, or null.
    """

    inputs: tuple[KeptInput, ...]
    sessions: tuple[InboxTold, ...]
    accepted: int
    queued: int
    consumed: int
    abandoned: int
    damage: str | None


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    inboxes: tuple[KeptInbox, ...]
    damage: str | None


async def _find(options: InboxOptions) -> _Found:
    ended = options.all or options.session is not None
    async with realm_from_outside(options.realm) as realm:
        names = await asked_for(realm.reader, options.session)
        inboxes = [await read_inbox(realm.reader, name, ended=ended) for name in names]
        return _Found(inboxes=tuple(inboxes), damage=realm.damage or None)


def show_inputs(options: InboxOptions, streams: Streams) -> int:
    """Prints the inputs of a session, or those of a realm that wait. Returns the exit code."""
    found = asyncio.run(_find(options))
    told = inputs_in(found.inboxes, found.damage)
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(told))
    else:
        _print(told, options, streams)
    damages = [one.damage for one in found.inboxes if one.damage is not None]
    for damage in damages:
        show_failure(streams.err, damage)
    return exit_code(damages[0]) if damages else OK


def inputs_in(inboxes: Sequence[KeptInbox], damage: str | None) -> Inputs:
    """Inboxes as JSON."""
    return Inputs(
        inputs=tuple(one for inbox in inboxes for one in inbox.inputs),
        sessions=tuple(map(_inbox, inboxes)),
        accepted=sum(one.accepted for one in inboxes),
        queued=sum(one.queued for one in inboxes),
        consumed=sum(one.consumed for one in inboxes),
        abandoned=sum(one.abandoned for one in inboxes),
        damage=damage,
    )


def _inbox(one: KeptInbox) -> InboxTold:
    return InboxTold(
        session_id=one.session_id,
        state=one.state,
        accepted=one.accepted,
        queued=one.queued,
        consumed=one.consumed,
        abandoned=one.abandoned,
        damage=damage_of(one.damage),
    )


# -- for people --------------------------------------------------------------------------------


def _print(told: Inputs, options: InboxOptions, streams: Streams) -> None:
    out, every = streams.out, options.session is None
    if every:
        for line in summary(told.sessions):
            out.print(line, soft_wrap=True)
    if every and told.inputs:
        out.print()
    for line in rows(told.inputs, out, now=now_ms(), with_session=every):
        out.print(line, soft_wrap=True)
    if told.damage is not None:
        streams.err.print(told_damage(told.damage), soft_wrap=True)
    streams.err.print(Text(_remark(told), QUIET), soft_wrap=True)


def _remark(told: Inputs) -> str:
    if not told.accepted:
        return "no input was accepted so far"
    hidden = told.accepted - len(told.inputs)
    return (
        f"{counted(told.accepted, 'input')}: {told.consumed:,} consumed, "
        f"{told.abandoned:,} abandoned, {told.queued:,} waiting"
        + ("; --all shows those that have ended" if hidden else "")
    )


def summary(sessions: Sequence[InboxTold]) -> Iterator[Text]:
    """A heading, then a line for each session that has accepted something or is damaged."""
    shown = [one for one in sessions if one.accepted or one.damage]
    if not shown:
        return
    table = [("session", "waiting", "consumed", "abandoned")]
    table += [
        (flat(one.session_id), f"{one.queued:,}", f"{one.consumed:,}", f"{one.abandoned:,}")
        for one in shown
    ]
    head, *lines = in_columns(table, right={1, 2, 3})
    yield Text(head, QUIET)
    for one, line in zip(shown, lines, strict=True):
        resting = one.state in {RuntimeState.IDLE, RuntimeState.ATTACHED}
        yield Text.assemble(
            line,
            ("" if resting else f"{GAP}{one.state}", WARN),
            (f"{GAP}damaged" if one.damage else "", BAD),
        )


def rows(
    inputs: Sequence[KeptInput], out: Console, *, now: int, with_session: bool
) -> Iterator[Text]:
    """A heading, then each input: a line in a pipe; in a terminal its text and story below it."""
    if not inputs:
        return
    more = signs_for(out).more
    table = [("input", "accepted", "state", "kind")]
    table += [
        (flat(one.input_id), ago(one.accepted_at, now), STATES[one.state][0], one.kind)
        for one in inputs
    ]
    head, *lines = in_columns(table)
    yield Text(head.rstrip(), QUIET)
    for one, line in zip(inputs, lines, strict=True):
        row = Text(line if not out.is_terminal else line.rstrip())
        row.highlight_words([f"{GAP}{STATES[one.state][0]}{GAP}"], STATES[one.state][1])
        text = shortened(one.text, more, most=LONGEST_ARGS)
        said = Text.assemble((flat(one.source), "bold"), f": {text}" if text else "")
        story = Text(", ".join(_story(one, now, with_session=with_session)), QUIET)
        if not out.is_terminal:
            yield Text(GAP).join((row, story, said))
            continue
        below = Text(GAP) + said
        for short in (row, below):
            short.truncate(out.width, overflow="ellipsis")
        yield row
        yield below
        yield laid(Text(GAP) + story, out)


def _story(one: KeptInput, now: int, *, with_session: bool) -> Iterator[str]:
    """What else there is to say of an input."""
    if with_session:
        yield f"session {flat(one.session_id)}"
    yield f"{one.lane} lane"
    if one.run_id is not None:
        yield f"run {flat(one.run_id)}"
    if one.attempts > 1:
        yield counted(one.attempts, "attempt")
    if one.recoveries:
        yield f"found by {counted(one.recoveries, 'restart')}"
    if one.state in {InputPhase.CONSUMED, InputPhase.ABANDONED}:
        yield f"ended {ago(one.updated_at, now)}"
    if one.reason is not None:
        why = f": {flat(one.error)}" if one.error else ""
        yield f"{one.reason.replace('_', ' ')}{why}"
