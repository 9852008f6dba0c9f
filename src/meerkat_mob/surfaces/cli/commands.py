"""The commands and their options, in click's words. What they do is imported when they do it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

import meerkat_mob
from meerkat_mob.surfaces.cli import exit_codes
from meerkat_mob.surfaces.cli.ending import ended, to_resume, until_stopped
from meerkat_mob.surfaces.cli.mob_commands import events, ps, resume, status
from meerkat_mob.surfaces.cli.model_commands import doctor, models, models_file
from meerkat_mob.surfaces.cli.proxy_command import proxy
from meerkat_mob.surfaces.cli.session_commands import inputs, receipts, sessions

if TYPE_CHECKING:  # importing the terminal's library costs more than showing the help
    from meerkat_mob.surfaces.cli.streams import Streams

PROGRAM = "meerkat-mob"
Shell = Literal["bash", "zsh", "fish"]

_definition = click.argument("definition", type=click.Path(path_type=Path))
_compat = click.option(
    "--compat",
    type=click.Choice(["0.8", "0.5"]),
    default="0.8",
    show_default=True,
    help="The version of the format whose defaults hold where two differ.",
)
_debug = click.option("--debug", is_flag=True, help="Show where an error came from.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(meerkat_mob.__version__, prog_name=PROGRAM)
def cli() -> None:
    """Teams of LLM agents described as data.

    A DEFINITION is a .toml or .json file, or a pack: a folder with a definition in it.
    """


@cli.command(short_help="Give a team a task, and watch it work.")
@_definition
@click.argument("task")
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="PROFILE=ID",
    help="Spawn this member; may be given many times. Without it: one member for each profile, "
    "named after it.",
)
@click.option("--to", metavar="ID", help="Who gets the task. Without it: the orchestrator.")
@click.option(
    "--model",
    metavar="NAME",
    help="Use this model in all profiles. 'scripted' plays the team offline: by the pack's "
    "performance.toml, else by a plain rule.",
)
@click.option(
    "--base-url", metavar="URL", help="The server that answers, such as http://localhost:11434."
)
@click.option(
    "--api-key",
    metavar="KEY",
    help="Its key. Other users of this machine can see it: better set OPENAI_API_KEY.",
)
@models_file
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Play the team offline by this file (see docs/performances.md).",
)
@click.option(
    "--pace",
    "pace_ms",
    type=click.IntRange(0, 10_000),
    metavar="MS",
    help="Time between two words of a scripted text. In a terminal it is readable by itself, "
    "elsewhere 0.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Give up when the team is not done by then.",
)
@click.option(
    "--realm",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the team in this folder: its sessions survive the process. Without it nothing is "
    "kept.",
)
@click.option("--id", "mob_id", metavar="NAME", help="Name the team; a realm has each name once.")
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
@_compat
@_debug
def run(
    *,
    definition: Path,
    task: str,
    members: tuple[str, ...],
    to: str | None,
    model: str | None,
    base_url: str | None,
    api_key: str | None,
    models_file: Path | None,
    script: Path | None,
    pace_ms: int | None,
    timeout: float | None,
    realm: Path | None,
    mob_id: str | None,
    root: Path | None,
    shell: bool,
    mcp: bool,
    as_json: bool,
    quiet: bool,
    compat: Literal["0.8", "0.5"],
    debug: bool,
) -> int:
    """Give the team of DEFINITION a task and watch it work.

    The answer is printed to standard output once the whole team is idle, everything else to
    standard error. A TASK of - is read from standard input.

    \b
    meerkat-mob run team.toml "Plan the release" --model scripted
    meerkat-mob run team.toml "Plan the release" --base-url http://127.0.0.1:11434/v1 --model qwen3
    git log -5 | meerkat-mob run pack/ - --member worker=w1 --member worker=w2
    """
    from meerkat_mob.surfaces.cli.options import RunOptions

    options = RunOptions(
        definition=definition,
        task=sys.stdin.read() if task == "-" else task,
        members=members,
        to=to,
        model=model,
        base_url=base_url,
        api_key=api_key,
        models=models_file,
        script=script,
        pace_ms=pace_ms,
        timeout=timeout,
        json=as_json,
        quiet=quiet,
        compat=compat,
        realm=realm,
        mob_id=mob_id,
        root=root,
        shell=shell,
        mcp=mcp,
    )

    def play(streams: Streams) -> int:
        from meerkat_mob.surfaces.cli.run import run as play_out

        goes_on = "" if realm is None else to_resume(realm)
        work = play_out(options, streams)
        return until_stopped(work, streams, as_json=as_json, goes_on=goes_on)

    return ended(play, as_json=as_json, debug=debug)


@cli.command(short_help="Check a definition and show everything that is wrong with it.")
@_definition
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@_compat
@_debug
def validate(*, definition: Path, as_json: bool, compat: Literal["0.8", "0.5"], debug: bool) -> int:
    """Check DEFINITION and show every finding: code, place, message and severity.

    The exit code is 1 when a finding is an error, 0 otherwise.
    """
    from meerkat_mob.surfaces.cli.options import ValidateOptions
    from meerkat_mob.surfaces.cli.validate import validate as check

    options = ValidateOptions(definition=definition, json=as_json, compat=compat)
    return ended(lambda streams: check(options, streams.out), as_json=as_json, debug=debug)


@cli.command(short_help="Print a script that completes this command in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: Shell) -> int:
    """Print what makes SHELL complete this command.

    \b
    bash: meerkat-mob completion bash >> ~/.bashrc
    zsh:  meerkat-mob completion zsh >> ~/.zshrc
    fish: meerkat-mob completion fish > ~/.config/fish/completions/meerkat-mob.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}")
    click.echo(kind(cli, {}, PROGRAM, "_MEERKAT_MOB_COMPLETE").source())
    return exit_codes.OK


for command in (resume, ps, status, events, sessions, inputs, receipts, models, doctor, proxy):
    cli.add_command(command)


# -- what they do ------------------------------------------------------------------------------


def invoke(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code. Nothing but that leaves here."""
    try:
        code: object = cli.main(argv, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return exit_codes.INTERRUPTED
    return code if isinstance(code, int) else exit_codes.OK
