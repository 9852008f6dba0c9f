"""``meerkat-mob models``: what is known of models, or what a server says it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import UNSET, UnsetType
from rich.text import Text

from meerkat_mob.errors import LlmKeyMissing, MeerkatError
from meerkat_mob.llm import Catalogue, ModelFacts, choose, known, load_catalogue
from meerkat_mob.llm.catalogue import FAMILY, Price
from meerkat_mob.llm.http import HttpLlm
from meerkat_mob.llm.providers import ClientChoice, open_server
from meerkat_mob.surfaces.cli.columns import in_columns
from meerkat_mob.surfaces.cli.exit_codes import OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import ModelsOptions
from meerkat_mob.surfaces.cli.palette import QUIET
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import counted, flat

VARIABLE: Final = "MEERKAT_MOB_MODELS"
"""Names the file of models and servers, where ``--models`` does not."""
KEY: Final = {True: "set", False: "not set", None: ""}
SAID: Final = {UNSET: "?", True: "yes", False: "no"}
HEADINGS: Final = (
    "model",
    "window",
    "answer",
    "sees",
    "forms",
    "reasons",
    "asked at",
    "key",
    "a million tokens",
)
PATIENCE_S: Final = 10.0
"""How long a server may take to say what it has."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One model. ``provider`` is whom it is asked from, ``key`` whether that one's is there."""

    model: str
    provider: str
    key: bool | None
    facts: ModelFacts


def catalogue_of(path: Path | None) -> Catalogue:
    """What is known here, and in the file given, or named by the environment, or in its place.

    Raises ``DefinitionUnreadable`` for a file that was named, ``DefinitionInvalid`` for any.
    """
    named = path or (Path(told) if (told := os.environ.get(VARIABLE, "").strip()) else None)
    usual = usual_place()
    if named is None and not usual.is_file():
        return known()
    return load_catalogue(named or usual)


def usual_place() -> Path:
    """Where a person's own file is looked for."""
    return Path(click.get_app_dir("meerkat-mob")) / "models.toml"


async def names_at(choice: ClientChoice) -> tuple[str, ...]:
    """The models that a server says it has. Raises ``LlmFailed``."""
    client: HttpLlm = open_server(choice, connect_s=PATIENCE_S, request_s=PATIENCE_S)
    try:
        return await client.models()
    finally:
        await client.aclose()


def show_models(options: ModelsOptions, streams: Streams) -> int:
    """Prints one row for each. Returns the exit code."""
    catalogue = catalogue_of(options.models)
    if options.base_url:
        choice = choose("?", base_url=options.base_url, api_key=options.api_key, env=os.environ)
        names: Sequence[str] = asyncio.run(names_at(choice))
        found = [
            Listed(model=name, provider="self_hosted", key=None, facts=catalogue.facts(name))
            for name in names
        ]
        where = f"{counted(len(found), 'model')} at {options.base_url}"
    else:
        found = [_listed(name, catalogue) for name in catalogue.models]
        where = f"a file of your own adds models and servers: --models FILE, or {usual_place()}"
    if options.json:
        write_json(streams.out.file, msgspec.json.encode({"models": found}))
        return OK
    for line in _rows(found):
        streams.out.print(line, soft_wrap=True)
    streams.err.print(Text(where, QUIET), soft_wrap=True)
    return OK


def _listed(name: str, catalogue: Catalogue) -> Listed:
    """Of a family too: what holds for a name that begins so."""
    model = name.removesuffix(FAMILY)
    facts = catalogue.facts(name)
    try:
        choice = choose(model, env=os.environ, models=catalogue)
    except LlmKeyMissing as absent:
        return Listed(model=name, provider=absent.provider, key=False, facts=facts)
    except MeerkatError:  # a family that no provider's name begins with, and no server has
        return Listed(model=name, provider="other", key=None, facts=facts)
    has_key = True if choice.api_key is not None else None
    at = choice.provider if facts.server is UNSET else facts.server
    return Listed(model=name, provider=at, key=has_key, facts=facts)


def _rows(found: Sequence[Listed]) -> Iterator[Text]:
    if not found:
        return
    table = [HEADINGS, *map(_cells, found)]
    if all(one.facts.price is UNSET for one in found):
        table = [row[:-1] for row in table]
    head, *lines = in_columns(table, right={1, 2})
    yield Text(head.rstrip(), QUIET)
    for line in lines:
        yield Text(line.rstrip())


def _cells(one: Listed) -> tuple[str, ...]:
    facts = one.facts
    return (
        flat(one.model),
        _number(facts.context_window),
        _number(facts.max_output),
        SAID[facts.vision],
        SAID[facts.structured_output],
        SAID[facts.reasoning],
        flat(one.provider),
        KEY[one.key],
        "" if facts.price is UNSET else _price(facts.price),
    )


def _price(price: Price) -> str:
    return flat(f"{price.input:g} in, {price.output:g} out {price.currency} ({price.date})")


def _number(value: int | UnsetType) -> str:
    return "?" if value is UNSET else f"{value:,}"
