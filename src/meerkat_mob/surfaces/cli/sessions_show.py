"""``meerkat-mob sessions show``: the figures of one session, and what was said in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.core.content import Content, text_of
from meerkat_mob.core.messages import ToolResult
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.usage import Usage
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.sessions.outside import KeptSession, find_kept, read_kept
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.surfaces.cli.conversation import Conversation
from meerkat_mob.surfaces.cli.exit_codes import OK, exit_code
from meerkat_mob.surfaces.cli.findings import show_failure
from meerkat_mob.surfaces.cli.jsonlines import Failure, damage_of, write_json
from meerkat_mob.surfaces.cli.options import ShowOptions
from meerkat_mob.surfaces.cli.palette import (
    LONGEST_ARGS,
    QUIET,
    WARN,
    Palette,
    laid,
    signs_for,
)
from meerkat_mob.surfaces.cli.sessions_list import told_labels
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat, moment, shortened


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What the next run will be given: nothing of it is in the conversation yet."""

    prompt: Content | None
    context: tuple[PendingAppend, ...]
    tool_results: tuple[ToolResult, ...]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints; times in ms UTC.

    ``messages`` are those from ``offset`` on, as they are stored. Where ``damage`` was found, all
    is as of before it.
    """

    session_id: str
    created_at: int
    updated_at: int
    message_count: int
    total_tokens: int
    usage: Usage
    model: str
    provider: str
    labels: Mapping[str, str]
    archived: bool
    revision: int
    runs: int
    receipts: int
    waiting: Waiting
    damage: Failure | None
    offset: int
    messages: tuple[msgspec.Raw, ...]


async def _kept(options: ShowOptions) -> KeptSession:
    async with realm_from_outside(options.realm) as realm:
        return await read_kept(realm.reader, await find_kept(realm.reader, options.session))


def show_session(options: ShowOptions, streams: Streams) -> int:
    """Prints a session. Returns the exit code, which is that of its damage if it is damaged."""
    kept = asyncio.run(_kept(options))
    code = OK if kept.damage is None else exit_code(kept.damage)
    count = len(kept.state.transcript)
    first = 0 if options.last is None else max(count - options.last, 0)
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(shown(kept, first)))
    else:
        _print(kept, first, streams.out)
    if kept.damage is not None:
        show_failure(streams.err, kept.damage)
    return code


def shown(kept: KeptSession, first: int) -> Shown:
    """A session as JSON, with its messages from ``first`` on."""
    state = kept.state
    return Shown(
        session_id=state.session_id,
        created_at=state.created_at,
        updated_at=state.updated_at,
        message_count=len(state.transcript),
        total_tokens=state.usage.total,
        usage=state.usage,
        model=state.metadata.model,
        provider=state.answered_by,
        labels=state.labels,
        archived=state.archived,
        revision=kept.revision,
        runs=kept.runs,
        receipts=kept.receipts,
        waiting=waiting_in(state),
        damage=damage_of(kept.damage),
        offset=first,
        messages=tuple(msgspec.Raw(raw) for raw in state.transcript.encoded()[first:]),
    )


def waiting_in(state: SessionState) -> Waiting:
    """What waits for a session's next run."""
    prompt = state.deferred.pending_initial_prompt
    return Waiting(
        prompt=None if prompt is UNSET else prompt.prompt,
        context=state.context.pending,
        tool_results=tuple(r for kept in state.deferred.pending_tool_results for r in kept.results),
    )


# -- for people --------------------------------------------------------------------------------


def _print(kept: KeptSession, first: int, out: Console) -> None:
    palette = Palette(signs_for(out))
    for name, figure in figures(kept, now_ms()):
        out.print(Text.assemble((f"{name:<9} ", QUIET), figure), soft_wrap=True)
    out.print()
    if first:
        told = f"{counted(first, 'message')} before: leave out --last, or give a larger one"
        out.print(Text(told, QUIET), soft_wrap=True)
    messages = kept.state.transcript.slice(first, None)
    for said in Conversation(kept.state, palette).lines(messages):
        _line(said, out)
    if not kept.state.transcript.encoded():
        out.print(Text("nothing was said yet", QUIET), soft_wrap=True)
    for what, text in _waiting(waiting_in(kept.state)):
        short = shortened(text, palette.signs.more, most=LONGEST_ARGS)
        _line(Text.assemble((f"waits: {what}: ", WARN), short), out)


def _line(line: Text, out: Console) -> None:
    out.print(laid(line, out), soft_wrap=True)


def figures(kept: KeptSession, now: int) -> Iterator[tuple[str, Text]]:
    """What is known of a session beside its messages, each with its name."""
    state = kept.state
    yield "session", Text(flat(state.session_id), "bold")
    if state.archived:
        yield "state", Text("archived: it takes no more turns", WARN)
    if state.labels:
        yield "labels", Text(told_labels(state.labels))
    yield "model", Text(f"{flat(state.metadata.model)}, answered by {flat(state.answered_by)}")
    yield "created", Text(f"{moment(state.created_at)}, {ago(state.created_at, now)}")
    yield "updated", Text(f"{moment(state.updated_at)}, {ago(state.updated_at, now)}")
    yield "messages", Text(f"{len(state.transcript):,}")
    usage = state.usage
    spent = f"{usage.total:,}: {usage.input_tokens:,} in, {usage.output_tokens:,} out"
    yield "tokens", Text(spent)
    yield "runs", Text(f"{kept.runs:,} ended, {counted(kept.receipts, 'receipt')}")
    waiting = waiting_in(state)
    counts = [
        *(["a prompt"] if waiting.prompt is not None else []),
        *([counted(len(waiting.context), "note")] if waiting.context else []),
        *([counted(len(waiting.tool_results), "tool result")] if waiting.tool_results else []),
    ]
    if counts:
        yield "waiting", Text(f"{', '.join(counts)} for the next run", WARN)


def _waiting(waiting: Waiting) -> Iterator[tuple[str, str]]:
    if waiting.prompt is not None:
        yield "prompt", text_of(waiting.prompt)
    for note in waiting.context:
        yield ("note" if note.source is UNSET else f"note from {flat(note.source)}"), note.text
    for result in waiting.tool_results:
        yield f"result of {flat(result.tool_use_id)}", text_of(result.content)
