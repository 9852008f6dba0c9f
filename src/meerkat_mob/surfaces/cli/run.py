"""``meerkat-mob run``: a definition becomes a team, gets the task, and is watched until it is idle.

Everything that can be refused is refused before a member exists. Whatever ends the run, the realm
is closed and the view has shown all that happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final, TypeAlias

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.agent.mcp import Mcp, McpServers
from meerkat_mob.agent.shell import Shell
from meerkat_mob.errors import InvalidParams, MeerkatError, ProfileNotFound
from meerkat_mob.llm import Catalogue, Clients, LlmClient, known
from meerkat_mob.mob import (
    AnyEvent,
    Mob,
    Realm,
    addressee,
    default_members,
    open_realm,
    spawn_team,
)
from meerkat_mob.mob.definition import (
    MobDefinition,
    Pack,
    ToolConfig,
    load_pack,
    warnings_of,
)
from meerkat_mob.mob.realm import OpeningRealm
from meerkat_mob.surfaces.cli.findings import Found, found_in, show_findings
from meerkat_mob.surfaces.cli.jsonlines import Answer, JsonLines
from meerkat_mob.surfaces.cli.models import catalogue_of
from meerkat_mob.surfaces.cli.options import RunOptions, check_options, members_of
from meerkat_mob.surfaces.cli.palette import QUIET, hanging
from meerkat_mob.surfaces.cli.story import Story
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.summary import summary_table, total_line, total_of
from meerkat_mob.surfaces.cli.view import Scene, View
from meerkat_mob.surfaces.cli.voices import scripted_voice, voice_in_words
from meerkat_mob.surfaces.cli.words import clean
from meerkat_mob.surfaces.playing import ensure_playable, with_id, with_model

See: TypeAlias = Callable[[AnyEvent], None]

SERVERS_S: Final = 10.0
"""How long a run waits for MCP servers before it begins; they may still come later."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run that nothing is left to refuse: the team, who leads it, and who answers for it."""

    definition: MobDefinition
    members: Mapping[str, str]
    lead: str
    llm: LlmClient | None
    by: str
    models: Catalogue
    shell: Shell | None = None
    mcp: Mcp | None = None


def prepare(options: RunOptions, pack: Pack, *, in_terminal: bool) -> Plan:
    """Checks everything that can be checked before a member exists.

    Raises ``DefinitionInvalid``, ``CapabilityUnavailable``, ``InvalidParams``, ``ProfileNotFound``
    and, when nobody answers for a model, ``LlmFailed``.
    """
    ensure_playable(pack)
    definition = with_model(pack.definition, options.model)
    if options.mob_id is not None:
        definition = with_id(definition, options.mob_id)
    members = members_of(options.members) or default_members(definition)
    for profile in members.values():
        if profile not in definition.roles:
            raise ProfileNotFound(profile=profile, known=tuple(definition.roles))
    lead = addressee(definition, members, options.to)
    models = [definition.profiles[profile].model for profile in members.values()]
    llm = scripted_voice(options, pack, models, in_terminal=in_terminal)
    catalogue = known() if options.scripted else catalogue_of(options.models)
    if llm is None:
        clients = Clients(
            base_url=options.base_url, api_key=options.api_key, env=os.environ, models=catalogue
        )
        for profile in dict.fromkeys(members.values()):
            for identity in definition.profiles[profile].identities():
                clients.choice(identity)
    by = voice_in_words(options, pack, models)
    wanted = [definition.profiles[profile].tools for profile in members.values()]
    return Plan(
        definition=definition,
        members=members,
        lead=lead,
        llm=llm,
        by=by,
        models=catalogue,
        shell=_shell(options, wanted),
        mcp=_mcp(options, wanted),
    )


def _shell(options: RunOptions, wanted: Sequence[ToolConfig]) -> Shell | None:
    """The shell of the run, if there is to be one. Refuses what nobody in the team would use."""
    if options.shell and not any(tools.shell for tools in wanted):
        raise InvalidParams(
            what="no member has a shell", path="--shell", hint="leave it out, or set tools.shell"
        )
    if options.root is None:
        return None
    if not options.shell and not any(tools.builtins for tools in wanted):
        raise InvalidParams(
            what="no member works on files",
            path="--root",
            hint="leave it out, or set tools.builtins",
        )
    return Shell(options.root) if options.shell else None


def _mcp(options: RunOptions, wanted: Sequence[ToolConfig]) -> Mcp | None:
    """The leave to connect servers, if it is given. Refuses it where nobody would use one."""
    if not options.mcp:
        return None
    if not any(tools.mcp for tools in wanted):
        raise InvalidParams(
            what="no member has an MCP server", path="--mcp", hint="leave it out, or set tools.mcp"
        )
    return Mcp()


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went. ``story`` holds what each member did."""

    mob_id: str
    lead: str
    answer: str
    duration_ms: int
    story: Story

    def line(self) -> Answer:
        """The end of the run as JSON."""
        total = total_of(tuple(self.story.seats.values()))
        return Answer(
            mob_id=self.mob_id,
            member=self.lead,
            text=self.answer,
            duration_ms=self.duration_ms,
            turns=total.turns,
            tool_calls=total.tool_calls,
            failed_runs=total.failed_runs,
            usage=total.usage,
        )


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """A mob that is there, whom it is about, and what ends the run: an answer."""

    mob: Mob
    lead: str
    scene: Scene
    answer: Callable[[], Awaitable[str]]


Watch: TypeAlias = Callable[[Mob, int], None]
"""Looks at what happens in a mob behind a cursor."""
Begin: TypeAlias = Callable[[Realm, Watch], Awaitable[Cast]]
"""Has a mob come to be, and watched as soon as there is something to see."""


async def play(opening: Realm | OpeningRealm, begin: Begin, view: View, see: See) -> Played:
    """Plays to the end; ``see`` is given every event of the mob, in order."""
    watching: asyncio.Task[None] | None = None

    def watch(mob: Mob, after: int) -> None:
        nonlocal watching
        watching = asyncio.create_task(_watch(mob, see, after))

    try:
        async with opening as realm:
            cast = await begin(realm, watch)
            view.open(cast.scene)
            began = now_ms()
            answer = await _answer(cast, watching)
            duration_ms = now_ms() - began
    finally:  # the realm has closed the mob's events, so the watcher ends once it has seen them
        if watching is not None:
            await watching
    return Played(
        mob_id=cast.mob.id,
        lead=cast.lead,
        answer=answer,
        duration_ms=duration_ms,
        story=view.story,
    )


async def _begin(options: RunOptions, plan: Plan, view: View, realm: Realm, watch: Watch) -> Cast:
    mob = await realm.create_mob(plan.definition)
    if plan.mcp is not None:
        show_findings(view.console, await absent_servers(mob.mcp_servers))
    watch(mob, 0)
    await spawn_team(mob, plan.members)
    return Cast(
        mob=mob,
        lead=plan.lead,
        scene=Scene(
            mob_id=mob.id, members=mob.members(), lead=plan.lead, task=options.task, by=plan.by
        ),
        answer=lambda: mob.member(plan.lead).ask(options.task, timeout=options.timeout),
    )


async def absent_servers(servers: McpServers) -> Sequence[Found]:
    """Waits a while, for a task is better given to who has its tools. Who is not there by then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SERVERS_S):
            await servers.settled()
    return [
        Found(
            code="mcp_server_absent",
            message=state.reason or "it has not answered yet",
            location=f"mcp.{name}",
            severity="warning",
        )
        for name, state in servers.states.items()
        if state.status != "connected"
    ]


async def _watch(mob: Mob, see: See, after: int) -> None:
    async with aclosing(mob.events(after=after)) as events:
        async for event in events:
            see(event)


async def _answer(cast: Cast, watching: asyncio.Task[None] | None) -> str:
    """The answer. A watcher that fails (its reader has gone) ends the wait with its error."""
    asking = asyncio.ensure_future(cast.answer())
    waited = {asking} if watching is None else {asking, watching}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done() and watching is not None:
            await watching
        return await asking
    finally:
        asking.cancel()
        await asyncio.wait({asking})


# -- where it is shown -------------------------------------------------------------------------


async def run(options: RunOptions, streams: Streams) -> None:
    """The whole command. Raises what it ends with; the caller knows its exit code."""
    check_options(options)
    pack = load_pack(options.definition, compat=options.compat)
    err = console_of(streams, quiet=options.quiet, as_json=options.json)
    plan = prepare(options, pack, in_terminal=err.is_terminal and not options.json)
    show_findings(err, found_in(warnings_of(pack.diagnostics)))
    opening = open_realm(
        options.realm,
        llm=plan.llm,
        base_url=options.base_url,
        api_key=options.api_key,
        models=plan.models,
        root=options.root,
        shell=plan.shell,
        mcp=plan.mcp,
    )

    async def begin(realm: Realm, watch: Watch) -> Cast:
        return await _begin(options, plan, view, realm, watch)

    view = View(err, shows_answer=streams.out.is_terminal and not options.json)
    await show(opening, begin, view, streams, as_json=options.json, estimated=plan.llm is not None)


def console_of(streams: Streams, *, quiet: bool, as_json: bool) -> Console:
    """Where the log goes: nowhere when nobody would read it."""
    silent = quiet or (as_json and streams.out.is_terminal)
    return Console(quiet=True, force_terminal=False) if silent else streams.err


async def show(
    opening: Realm | OpeningRealm,
    begin: Begin,
    view: View,
    streams: Streams,
    *,
    as_json: bool,
    estimated: bool,
) -> None:
    """Plays, and shows it: the log while it happens, then the answer and the sum."""
    lines = JsonLines(streams.out.file) if as_json else None

    def see(event: AnyEvent) -> None:
        view.see(event)
        if lines is not None:
            lines.write(event)

    async with view:
        try:
            played = await play(opening, begin, view, see)
        except MeerkatError as error:
            view.settle(str(error))
            raise
        view.settle(played.answer)
    if lines is not None:
        lines.write(played.line())
    else:
        _show_answer(played, view, streams.out, view.console)
    _show_summary(played, view, view.console, estimated=estimated)


def _show_answer(played: Played, view: View, out: Console, err: Console) -> None:
    """For a pipe the answer as it is; for a person set apart from the log."""
    if not out.is_terminal:
        out.file.write(played.answer.rstrip("\n") + "\n")
        out.file.flush()
        return
    err.print()
    err.print(Text.assemble(view.palette.name(played.lead), (" answers", "bold")))
    out.print(hanging(Text(clean(view.story.plain(played.answer.strip()))), out, indent=0))


def _show_summary(played: Played, view: View, err: Console, *, estimated: bool) -> None:
    seats = tuple(view.story.seats.values())
    err.print()
    err.print(summary_table(seats, view.palette))
    err.print()
    line = total_line(total_of(seats), played.duration_ms, estimated=estimated)
    err.print(Text(line, QUIET))
