"""``meerkat-mob models`` and ``doctor``, in click's words."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from meerkat_mob.surfaces.cli.ending import ended

models_file = click.option(
    "--models",
    "models_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Models and servers of your own (see docs/models.md). Without it MEERKAT_MOB_MODELS names "
    "the file, or it is in its usual place.",
)
_base_url = click.option(
    "--base-url", metavar="URL", help="Ask this server, such as http://localhost:11434."
)
_api_key = click.option(
    "--api-key",
    metavar="KEY",
    help="Its key. Other users of this machine can see it: better set OPENAI_API_KEY.",
)
_debug = click.option("--debug", is_flag=True, help="Show where an error came from.")


@click.command(short_help="List the models that are known, or that a server has.")
@models_file
@_base_url
@_api_key
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_debug
def models(
    *,
    models_file: Path | None,
    base_url: str | None,
    api_key: str | None,
    as_json: bool,
    debug: bool,
) -> int:
    """List models: their window, what they can do, who is asked for them, whether the key is set.

    A name that ends with * is all models whose names begin so. A model that is not listed works
    too: nothing is known of it then. Nothing is asked over the network, but with --base-url.
    """
    from meerkat_mob.surfaces.cli.models import show_models
    from meerkat_mob.surfaces.cli.options import ModelsOptions

    options = ModelsOptions(models=models_file, base_url=base_url, api_key=api_key, json=as_json)
    return ended(lambda streams: show_models(options, streams), as_json=as_json, debug=debug)


@click.command(short_help="Check keys, servers and models, and say what to do.")
@click.argument("definition", type=click.Path(path_type=Path), required=False)
@models_file
@_base_url
@_api_key
@click.option(
    "--compat",
    type=click.Choice(["0.8", "0.5"]),
    default="0.8",
    show_default=True,
    help="The version of the format whose defaults hold where two differ.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as one JSON object.")
@_debug
def doctor(
    *,
    definition: Path | None,
    models_file: Path | None,
    base_url: str | None,
    api_key: str | None,
    compat: Literal["0.8", "0.5"],
    as_json: bool,
    debug: bool,
) -> int:
    """Ask each server whose key or address is known which models it has. No model is run.

    With a DEFINITION it is the models of that team that are looked for, each where it would be
    asked. The exit code is 1 when one cannot answer.
    """
    from meerkat_mob.surfaces.cli.doctor import doctor as look
    from meerkat_mob.surfaces.cli.options import DoctorOptions

    options = DoctorOptions(
        definition=definition,
        models=models_file,
        base_url=base_url,
        api_key=api_key,
        compat=compat,
        json=as_json,
    )
    return ended(lambda streams: look(options, streams), as_json=as_json, debug=debug)
