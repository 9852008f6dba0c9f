"""``meerkat-mob ps``, ``status``, ``events`` and ``resume``, in click's words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from meerkat_mob.surfaces.cli.ending import ended, to_resume, until_stopped
from meerkat_mob.surfaces.cli.model_commands import models_file
from meerkat_mob.surfaces.cli.session_commands import realm_argument

if TYPE_CHECKING:  # importing the terminal's library costs more than showing the help
    from meerkat_mob.surfaces.cli.streams import Streams


def _mobs(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    realm: object = context.params.get("realm")
    if not isinstance(realm, Path):
        return []
    from meerkat_mob.surfaces.cli.mobs_show import completions

    return [CompletionItem(name, help=told) for name, told in completions(realm, typed)]


_mob = click.argument("mob", required=False, shell_complete=_mobs)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_debug = click.option("--debug", is_flag=True, help="Show where an error came from.")


@click.command(short_help="List the mobs that a realm keeps.")
@realm_argument
@_json
@_debug
def ps(*, realm: Path, as_json: bool, debug: bool) -> int:
    """List the mobs that REALM keeps: their state, members and open tasks.

    Another process may hold the realm; nothing here changes it.
    """
    from meerkat_mob.surfaces.cli.mobs_show import show_mobs
    from meerkat_mob.surfaces.cli.options import MobOptions

    options = MobOptions(realm=realm, json=as_json)
    return ended(lambda streams: show_mobs(options, streams), as_json=as_json, debug=debug)


@click.command(short_help="Show how a mob stands.")
@realm_argument
@_mob
@_json
@_debug
def status(*, realm: Path, mob: str | None, as_json: bool, debug: bool) -> int:
    """Show the members and tasks of MOB, or of the only one that REALM keeps.

    What a member is doing at this moment is known to the holder of the realm alone.
    """
    from meerkat_mob.surfaces.cli.mobs_show import show_status
    from meerkat_mob.surfaces.cli.options import MobOptions

    options = MobOptions(realm=realm, mob=mob, json=as_json)
    return ended(lambda streams: show_status(options, streams), as_json=as_json, debug=debug)


@click.command(short_help="Show what happened in a mob.")
@realm_argument
@_mob
@click.option(
    "--after",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Only those behind this cursor.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each as a line of JSON.")
@_debug
def events(
    *, realm: Path, mob: str | None, after: int, follow: bool, as_json: bool, debug: bool
) -> int:
    """Show the facts of MOB, or of the only one that REALM keeps, one in a line.

    Whoever holds the realm is not disturbed. What members say while they say it is not kept.
    """
    from meerkat_mob.surfaces.cli.mobs_events import show_events
    from meerkat_mob.surfaces.cli.options import EventsOptions

    options = EventsOptions(realm=realm, mob=mob, after=after, follow=follow, json=as_json)
    return ended(lambda streams: show_events(options, streams), as_json=as_json, debug=debug)


@click.command(short_help="Bring a mob back, and let it go on.")
@realm_argument
@_mob
@click.argument("task", required=False)
@click.option("--to", metavar="ID", help="Who gets the task. Without it: the orchestrator.")
@click.option(
    "--model",
    metavar="NAME",
    help="This model answers for every member. Without it each is asked for its own.",
)
@click.option("--base-url", metavar="URL", help="The server that answers.")
@click.option(
    "--api-key",
    metavar="KEY",
    help="Its key. Other users of this machine can see it: better set OPENAI_API_KEY.",
)
@models_file
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Give up when the team is not done by then.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Let members with builtins read and change the files in this folder.",
)
@click.option(
    "--shell", is_flag=True, help="Let members with a shell run commands, as you, from --root on."
)
@click.option(
    "--mcp", is_flag=True, help="Start and reach the MCP servers that the team names, as you."
)
@click.option("--json", "as_json", is_flag=True, help="Print every event as a line of JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print the answer and nothing else.")
@_debug
def resume(
    *,
    realm: Path,
    mob: str | None,
    task: str | None,
    to: str | None,
    model: str | None,
    base_url: str | None,
    api_key: str | None,
    models_file: Path | None,
    timeout: float | None,
    root: Path | None,
    shell: bool,
    mcp: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Bring MOB back from REALM with its members, messages and tasks, and let it go on.

    It ends when the whole team is idle: the answer is the answer to TASK, or what the one who
    leads said last. A member that cannot be brought back is told, and the others go on.

    \b
    meerkat-mob resume kept
    meerkat-mob resume kept release "And what is still missing?"
    """
    from meerkat_mob.surfaces.cli.options import ResumeOptions

    options = ResumeOptions(
        realm=realm,
        mob=mob,
        task=task,
        to=to,
        model=model,
        base_url=base_url,
        api_key=api_key,
        models=models_file,
        timeout=timeout,
        root=root,
        shell=shell,
        mcp=mcp,
        json=as_json,
        quiet=quiet,
    )

    def bring_back(streams: Streams) -> int:
        from meerkat_mob.surfaces.cli.resume import resume as go_on

        work, again = go_on(options, streams), to_resume(options.realm)
        return until_stopped(work, streams, as_json=as_json, goes_on=again)

    return ended(bring_back, as_json=as_json, debug=debug)
