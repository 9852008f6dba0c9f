"""What is known of models and servers, as data: ours, and what a user's own file adds.

Nothing has to be known: a model without an entry works, and what is not known of it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.base_url import endpoint_of
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.toml_file import FileFault, parse_toml, text_of

FAMILY: Final = "*"
"""Ends a name that stands for all that begin so."""
FILE_NAME: Final = "models.toml"

_Some = Annotated[str, Meta(min_length=1)]
_Tokens = Annotated[int, Meta(ge=1)]
_Amount = Annotated[float, Meta(ge=0)]
_Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a million tokens cost, who says so (``source``), and on which day (``date``)."""

    input: _Amount
    output: _Amount
    cached_input: _Amount | UnsetType = UNSET
    currency: _Some = "USD"
    source: _Some
    date: _Day


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a model; absent is unknown.

    ``server`` has it, and knows it as ``name``. ``context_window`` and ``max_output`` are tokens,
    the first of request and answer together. With ``structured_output`` false a form is asked for
    in words and never by the server's own option.
    """

    server: _Some | UnsetType = UNSET
    name: _Some | UnsetType = UNSET
    context_window: _Tokens | UnsetType = UNSET
    max_output: _Tokens | UnsetType = UNSET
    vision: bool | UnsetType = UNSET
    structured_output: bool | UnsetType = UNSET
    reasoning: bool | UnsetType = UNSET
    price: Price | UnsetType = UNSET


class ModelServer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A server of one's own. ``key`` is the variable that holds its key; without it none is sent.

    ``dialect`` absent is the one that the URL tells (``llm.providers.choose``).
    """

    base_url: _Some
    dialect: DialectName | UnsetType = UNSET
    key: _Some | UnsetType = UNSET


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Models and servers by name. A model's name that ends with ``*`` is a family."""

    servers: Mapping[str, ModelServer] = {}
    models: Mapping[str, ModelFacts] = {}

    def facts(self, model: str) -> ModelFacts:
        """What is known of a model: what a longer name says wins over what a shorter one does."""
        wanted, found = model.lower(), ModelFacts()
        for name in sorted(self.models, key=_rank):
            if _fits(name.lower(), wanted):
                found = _over(found, self.models[name])
        return found

    def window_of(self, model: str) -> int | None:
        """The tokens of a model's window; None when it is not known."""
        window = self.facts(model).context_window
        return None if window is UNSET else window

    def extended(self, by: Catalogue) -> Catalogue:
        """Both; of what both know, each thing that ``by`` says is meant."""
        models = dict(self.models)
        for name, facts in by.models.items():
            models[name] = _over(models.get(name, ModelFacts()), facts)
        return Catalogue(servers={**self.servers, **by.servers}, models=models)


def load_catalogue(path: Path | str) -> Catalogue:
    """What is known here and in a user's file.

    Raises ``DefinitionUnreadable`` when it cannot be read, and ``DefinitionInvalid`` with every
    fault in it.
    """
    return parse_catalogue(text_of(path), source=str(path))


def parse_catalogue(text: str, *, source: str = FILE_NAME) -> Catalogue:
    """What is known here and in a text of the same form. Raises as ``load_catalogue`` does."""
    return known().extended(parse_toml(Catalogue, text, source=source, look=_faults))


@cache
def known() -> Catalogue:
    """What everybody's copy of this package knows."""
    text = files("meerkat_mob.llm").joinpath(FILE_NAME).read_text(encoding="utf-8")
    return parse_toml(Catalogue, text, source=FILE_NAME, look=_faults)


def _rank(name: str) -> tuple[bool, int]:
    """Families first, the shorter before the longer; a model's own name last."""
    return not name.endswith(FAMILY), len(name)


def _fits(name: str, model: str) -> bool:
    return model.startswith(name[:-1]) if name.endswith(FAMILY) else model == name


def _over(base: ModelFacts, said: ModelFacts) -> ModelFacts:
    told = {name: value for name, value in msgspec.structs.asdict(said).items() if value != UNSET}
    return msgspec.structs.replace(base, **told)


def _faults(catalogue: Catalogue) -> Iterator[FileFault]:
    for name, server in catalogue.servers.items():
        try:
            endpoint_of(server.base_url, endpoint="", version="")
        except InvalidParams as fault:
            yield FileFault(
                code="invalid_value", message=str(fault), location=f"servers.{name}.base_url"
            )
    for name, facts in catalogue.models.items():
        yield from _faults_of(name, facts, catalogue.servers)


def _faults_of(
    name: str, facts: ModelFacts, servers: Mapping[str, ModelServer]
) -> Iterator[FileFault]:
    at = f"models.{name}"
    if FAMILY in name[:-1] or name == FAMILY:
        yield FileFault(
            code="invalid_value", message="a * stands at the end of a beginning", location=at
        )
    if facts.server is not UNSET and facts.server not in servers:
        have = ", ".join(servers) or "none"
        yield FileFault(
            code="unknown_server",
            message=f"there is no [servers.{facts.server}] in this file; it has {have}",
            location=f"{at}.server",
        )
    if facts.name is not UNSET and name.endswith(FAMILY):
        yield FileFault(
            code="invalid_value",
            message="the models of a family have names of their own: leave it out",
            location=f"{at}.name",
        )
