"""``meerkat-mob proxy``, in click's words."""

from __future__ import annotations

import os

import click

from meerkat_mob.surfaces.cli.ending import ended


@click.command(short_help="Let pages ask models without holding keys.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin in, such as http://localhost:8000; may be given many times. "
    "Without it: no page, only programs on this machine.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8787,
    show_default=True,
    help="Its port; 0 takes a free one.",
)
@click.option(
    "--expose",
    is_flag=True,
    help="Take a --host that other machines reach: they get your keys' use.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as a line of JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Do not log requests.")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def proxy(
    *,
    origins: tuple[str, ...],
    host: str,
    port: int,
    expose: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Pass model calls of pages on to OpenAI, Anthropic and Gemini, with the keys of this machine.

    A page gives http://127.0.0.1:8787/openai, /anthropic or /gemini as its base URL, and no key.
    Keys and other addresses are read from the environment, as everywhere. It runs until Ctrl-C.

    \b
    meerkat-mob proxy --origin http://localhost:8000
    """
    from meerkat_mob.surfaces.cli.options import ProxyOptions
    from meerkat_mob.surfaces.cli.proxy import run_proxy

    options = ProxyOptions(
        origins=origins, host=host, port=port, expose=expose, json=as_json, quiet=quiet
    )
    return ended(
        lambda streams: run_proxy(options, streams, env=os.environ), as_json=as_json, debug=debug
    )
