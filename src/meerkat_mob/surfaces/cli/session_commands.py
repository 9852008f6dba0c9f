"""``meerkat-mob sessions``: the commands that look into a realm, in click's words."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from click.shell_completion import CompletionItem

from meerkat_mob.surfaces.cli.ending import ended


def _folders(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    return [CompletionItem(typed, type="dir")]


def _sessions(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    realm: object = context.params.get("realm")
    if not isinstance(realm, Path):
        return []
    from meerkat_mob.surfaces.cli.sessions_list import completions

    return [CompletionItem(name, help=told) for name, told in completions(realm, typed)]


realm_argument = click.argument(
    "realm", type=click.Path(path_type=Path, readable=False), shell_complete=_folders
)
_session = click.argument("session", shell_complete=_sessions)
_debug = click.option("--debug", is_flag=True, help="Show where an error came from.")


@click.group(short_help="Look at what a realm keeps.")
def sessions() -> None:
    """Look at the sessions that a REALM keeps, whoever holds it now.

    A REALM is the folder that was given to run with --realm. Nothing here changes it. A SESSION is
    its id, or as much of the id's beginning as no other session has.
    """


@sessions.command("list", short_help="List the sessions, the latest first.")
@realm_argument
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only those with this label; may be given many times.",
)
@click.option("--archived", is_flag=True, help="Those that were archived too.")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most."
)
@click.option(
    "--offset", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_debug
def list_(
    *,
    realm: Path,
    labels: tuple[str, ...],
    archived: bool,
    limit: int,
    offset: int,
    as_json: bool,
    debug: bool,
) -> int:
    """List the sessions of REALM, those that were updated last first.

    Whether a session has a run now is known only to the process that holds the realm.
    """
    from meerkat_mob.surfaces.cli.options import ListOptions
    from meerkat_mob.surfaces.cli.sessions_list import show_list

    options = ListOptions(
        realm=realm, labels=labels, archived=archived, limit=limit, offset=offset, json=as_json
    )
    return ended(lambda streams: show_list(options, streams), as_json=as_json, debug=debug)


@sessions.command(short_help="Show one session and what was said in it.")
@realm_argument
@_session
@click.option(
    "--last", type=click.IntRange(0), metavar="N", help="Only the last N messages. Without it: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every message.")
@_debug
def show(*, realm: Path, session: str, last: int | None, as_json: bool, debug: bool) -> int:
    """Show the figures of SESSION, and what was said in it.

    Of a damaged session it shows what comes before the damage, and ends with exit code 50.
    """
    from meerkat_mob.surfaces.cli.options import ShowOptions
    from meerkat_mob.surfaces.cli.sessions_show import show_session

    options = ShowOptions(realm=realm, session=session, last=last, json=as_json)
    return ended(lambda streams: show_session(options, streams), as_json=as_json, debug=debug)


@sessions.command(short_help="Check that everything is as it was committed.")
@realm_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_debug
def verify(*, realm: Path, as_json: bool, debug: bool) -> int:
    """Hold every record, summary, key and image of REALM against its hashes.

    The exit code is 0 when everything is as it was committed, and 50 when something is not.
    """
    from meerkat_mob.surfaces.cli.options import VerifyOptions
    from meerkat_mob.surfaces.cli.sessions_verify import show_verdict

    options = VerifyOptions(realm=realm, json=as_json)
    return ended(lambda streams: show_verdict(options, streams), as_json=as_json, debug=debug)


@sessions.command(short_help="Print a whole session as JSON.")
@realm_argument
@_session
@click.option(
    "--format",
    "form",
    type=click.Choice(["meerkat", "upstream"]),
    default="meerkat",
    show_default=True,
    help="meerkat: times in ms. upstream: as the Rust system writes it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Write it there instead, whole or not at all.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="Of a damaged session what comes before the damage. Without it: nothing.",
)
@_debug
def export(
    *,
    realm: Path,
    session: str,
    form: Literal["meerkat", "upstream"],
    output: Path | None,
    partial: bool,
    debug: bool,
) -> int:
    """Print all there is of SESSION as one JSON document, archived or not.

    Images are named in it by their content; the realm keeps them. A damaged session is not
    exported but with --partial, and ends with exit code 50.
    """
    from meerkat_mob.surfaces.cli.options import ExportOptions
    from meerkat_mob.surfaces.cli.sessions_export import export_to

    options = ExportOptions(realm=realm, session=session, form=form, output=output, partial=partial)
    return ended(lambda streams: export_to(options, streams), as_json=False, debug=debug)


_one_session = click.argument("session", required=False, shell_complete=_sessions)


@click.command(short_help="Show what sessions were given to do.")
@realm_argument
@_one_session
@click.option("--all", "all_", is_flag=True, help="Those that have ended too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_debug
def inputs(*, realm: Path, session: str | None, all_: bool, as_json: bool, debug: bool) -> int:
    """Show what the sessions of REALM accepted and still have to do; of one SESSION all of it.

    An input that waits may be in a run at this moment: only the holder of the realm knows.
    """
    from meerkat_mob.surfaces.cli.inputs import show_inputs
    from meerkat_mob.surfaces.cli.options import InboxOptions

    options = InboxOptions(realm=realm, session=session, all=all_, json=as_json)
    return ended(lambda streams: show_inputs(options, streams), as_json=as_json, debug=debug)


@click.command(short_help="Hold the receipts of runs against what is stored.")
@realm_argument
@_one_session
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_debug
def receipts(*, realm: Path, session: str | None, as_json: bool, debug: bool) -> int:
    """Verify the receipts of REALM, or of one SESSION, against the stored messages.

    The exit code is 1 when a receipt does not agree with them; the first difference is named.
    """
    from meerkat_mob.surfaces.cli.options import InboxOptions
    from meerkat_mob.surfaces.cli.receipts import show_receipts

    options = InboxOptions(realm=realm, session=session, json=as_json)
    return ended(lambda streams: show_receipts(options, streams), as_json=as_json, debug=debug)
