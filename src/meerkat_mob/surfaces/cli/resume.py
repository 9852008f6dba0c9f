"""``meerkat-mob resume``: a mob comes back in this process, and goes on."""

from __future__ import annotations

import os

from msgspec import UNSET

from meerkat_mob.agent.mcp import Mcp
from meerkat_mob.agent.shell import Shell
from meerkat_mob.core.metadata import by_name
from meerkat_mob.errors import InvalidParams, MemberNotFound, MobNotFound, NoAnswer
from meerkat_mob.llm import Clients, LlmClient, ModelFacts, adapted
from meerkat_mob.mob import Mob, MobState, Realm, open_realm
from meerkat_mob.surfaces.cli.findings import Found, show_findings
from meerkat_mob.surfaces.cli.models import catalogue_of
from meerkat_mob.surfaces.cli.options import ResumeOptions
from meerkat_mob.surfaces.cli.run import Cast, Watch, absent_servers, console_of, show
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.view import Scene, View
from meerkat_mob.surfaces.cli.words import counted

WAITING = "(it goes on with what was waiting)"


async def resume(options: ResumeOptions, streams: Streams) -> None:
    """The whole command. Raises what it ends with; the caller knows its exit code."""
    _check(options)
    err = console_of(streams, quiet=options.quiet, as_json=options.json)
    view = View(err, shows_answer=streams.out.is_terminal and not options.json)
    models = catalogue_of(options.models)
    clients = Clients(
        base_url=options.base_url, api_key=options.api_key, env=os.environ, models=models
    )
    try:
        llm = None if options.model is None else _one_for_all(clients, options.model)
        opening = open_realm(
            options.realm,
            llm=llm,
            base_url=options.base_url,
            api_key=options.api_key,
            models=models,
            root=options.root,
            shell=Shell(options.root) if options.shell and options.root else None,
            mcp=Mcp() if options.mcp else None,
        )

        async def begin(realm: Realm, watch: Watch) -> Cast:
            return await _begin(options, view, realm, watch)

        offline = options.model == "scripted"
        await show(opening, begin, view, streams, as_json=options.json, estimated=offline)
    finally:
        await clients.aclose()


def _check(options: ResumeOptions) -> None:
    if not options.realm.is_dir():
        raise InvalidParams(
            what=f"there is no realm at {options.realm}",
            path="REALM",
            hint="give the folder that was given to run with --realm",
        )
    if options.shell and options.root is None:
        raise InvalidParams(
            what="commands must begin somewhere", path="--shell", hint="name a folder with --root"
        )
    if options.to is not None and options.task is None:
        raise InvalidParams(
            what="it has no effect here: there is no task to give",
            path="--to",
            hint="leave it out, or give a TASK",
        )
    if options.task is not None and not options.task.strip():
        raise InvalidParams(what="the task is blank", path="TASK", hint="say what is to be done")


def _one_for_all(clients: Clients, model: str) -> LlmClient:
    return adapted(clients(by_name(model)), ModelFacts(name=model))


async def _begin(options: ResumeOptions, view: View, realm: Realm, watch: Watch) -> Cast:
    mob = await realm.resume_mob(await _chosen(realm, options.mob))
    facts = await mob.poll_events(limit=1_000_000)
    view.recall(facts)
    watch(mob, facts[-1].cursor)
    if options.mcp:
        show_findings(view.console, await absent_servers(mob.mcp_servers))
    show_findings(view.console, _broken(mob))
    lead = _lead(mob, options.to)
    if mob.state is MobState.STOPPED:
        await mob.resume()
    busy = mob.busy_members()
    by = "goes on" if busy or options.task else "nothing was waiting"
    if busy:
        by = f"{counted(len(busy), 'member')} had something to do"

    async def answer() -> str:
        if options.task is not None:
            return await mob.member(lead).ask(options.task, timeout=options.timeout)
        await mob.wait_idle(timeout=options.timeout)
        said = (await mob.member_status(lead)).output_preview
        if not said:
            raise NoAnswer(member=lead, why="it has said nothing yet: give it a TASK")
        return said

    task = options.task or WAITING
    scene = Scene(mob_id=mob.id, members=mob.members(), lead=lead, task=task, by=by)
    return Cast(mob=mob, lead=lead, scene=scene, answer=answer)


async def _chosen(realm: Realm, wanted: str | None) -> str:
    known = await realm.kept_mobs()
    if wanted is not None or len(known) == 1:
        return wanted or known[0]
    if not known:
        raise MobNotFound(mob_id="", known=())
    raise InvalidParams(
        what=f"the realm keeps {counted(len(known), 'mob')}: {', '.join(known)}",
        path="MOB",
        hint="name one",
    )


def _broken(mob: Mob) -> list[Found]:
    return [
        Found(
            code="member_broken",
            message=entry.broken,
            location=f"members.{entry.member}",
            severity="warning",
        )
        for entry in mob.members()
        if entry.broken is not UNSET
    ]


def _lead(mob: Mob, to: str | None) -> str:
    """Whose answer it is: the one named, else the orchestrator's member, else the first."""
    members = {e.member: e.profile for e in mob.members() if e.broken is UNSET}
    if to is not None:
        return mob.member(to).id
    if not members:
        raise MemberNotFound(member="", known=())
    lead = mob.definition.orchestrator
    ids = [name for name, role in members.items() if lead is not None and role == lead.profile]
    return ids[0] if ids else next(iter(members))
