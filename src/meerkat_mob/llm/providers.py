"""Who answers for a model: decided from its name, what was given, and the environment.

The decision is pure; only ``open_client`` makes something. Nothing falls back in silence: what
cannot be answered is an error that names the variable, the flag and the way to play offline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from meerkat_mob import _target
from meerkat_mob.core.provider_names import BUILT_IN, Provider, infer_provider
from meerkat_mob.errors import InvalidParams, LlmFailed, LlmKeyMissing
from meerkat_mob.llm.base_url import is_loopback
from meerkat_mob.llm.catalogue import Catalogue
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.http import HttpLlm
from meerkat_mob.llm.plain import PlainLlm

SCRIPTED: Final = "scripted"
"""The name of the model that plays any team offline."""

_OFFLINE: Final = f"play offline with --model {SCRIPTED}"


class Home(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a provider's own models are asked, and the variables that say otherwise (CLI-4)."""

    base_url: str
    dialect: DialectName
    keys: tuple[str, ...]
    urls: tuple[str, ...]


HOMES: Final[Mapping[Provider, Home]] = {
    "openai": Home(
        base_url="https://api.openai.com/v1",
        dialect="responses",
        keys=("RKAT_OPENAI_API_KEY", "OPENAI_API_KEY"),
        urls=("OPENAI_BASE_URL",),
    ),
    "anthropic": Home(
        base_url="https://api.anthropic.com",
        dialect="anthropic",
        keys=("RKAT_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        urls=("ANTHROPIC_BASE_URL",),
    ),
    "gemini": Home(
        base_url="https://generativelanguage.googleapis.com",
        dialect="gemini",
        keys=("RKAT_GEMINI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        urls=("GEMINI_BASE_URL",),
    ),
}
_NAMED: Final = re.compile(r"/(?:(anthropic)|gemini)(?:/v\d\w*)?$")
"""How the path of a base URL ends, with or without a version, when it names its dialect."""
ANYBODY: Final = HOMES["openai"]
"""Whose variables tell of servers that have the models of others, too."""


class ClientChoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which client, for which server, with which key; None sends none.

    Equal choices may share one client. ``base_url`` is empty where nothing is asked over HTTP.
    ``key_variables`` hold the key, where they are not those of the dialect's own provider.
    """

    dialect: DialectName | Literal["scripted", "built-in"]
    provider: str
    base_url: str = ""
    api_key: str | None = None
    key_variables: tuple[str, ...] = ()

    def __repr__(self) -> str:
        key = "none" if self.api_key is None else "set"
        return f"ClientChoice({self.dialect}, {self.provider}, {self.base_url!r}, key {key})"


def choose(
    model: str,
    *,
    provider: Provider | None = None,
    server: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    dialect: DialectName | None = None,
    env: Mapping[str, str] | None = None,
    models: Catalogue | None = None,
) -> ClientChoice:
    """The client for a model. What is given wins over the environment (CLI-4).

    A base URL that is given is asked for every model, key or no key, in ``dialect``, or in the one
    that its end tells, or else in chat completions. Without one, ``server`` is asked: one
    of ``models``, or the URL of another; it is a team's word, so no key goes to such a URL. Then
    the server that ``models`` names for the model. Then the home of its provider, which its name
    tells if ``provider`` does not; the rest is asked for at ``OPENAI_BASE_URL``. Raises
    ``LlmKeyMissing`` for a provider's model without its key, ``LlmFailed`` for one nobody is known
    to serve and for the browser's own where there is no browser, and ``InvalidParams`` for an
    unknown server or for a base URL with a model that asks none.
    """
    if model in {SCRIPTED, BUILT_IN}:
        return _serverless(model, base_url)
    known, catalogue = env or {}, models or Catalogue()
    provider = provider or infer_provider(model)
    named = catalogue.facts(model).server
    if not base_url and (server := server or (None if named is UNSET else named)):
        return _on(server, model, provider, catalogue, known)
    home = HOMES.get(provider)
    if not base_url and home is not None and home is not ANYBODY:
        url, key = first_set(known, home.urls), api_key or first_set(known, home.keys)
        if url is not None or key is not None:
            return _at(url or home.base_url, dialect or home.dialect, provider, key)
    if url := base_url or first_set(known, ANYBODY.urls):
        spoken = dialect or _dialect_in(url)
        return _at(url, spoken, provider, api_key or first_set(known, _keys_for(spoken)))
    if home is not None:
        if key := api_key or first_set(known, home.keys):
            return _at(home.base_url, dialect or home.dialect, provider, key)
        raise LlmKeyMissing(provider=provider, model=model, variables=home.keys)
    raise LlmFailed(
        provider=provider,
        reason="invalid_model",
        detail=f"the name {model!r} tells no provider",
        hint=f"pass --base-url (or set {ANYBODY.urls[0]}) of a server that has it, choose another "
        f"model with --model, or {_OFFLINE}",
    )


def open_client(choice: ClientChoice) -> LlmClient:
    """The client of a choice; its connections open when first used.

    Raises ``CapabilityUnavailable`` without the extra ``http``, ``InvalidParams`` for a bad URL.
    """
    if choice.dialect == SCRIPTED:
        return PlainLlm()
    if choice.dialect == BUILT_IN:
        from meerkat_mob.llm.built_in import BuiltInLlm  # noqa: PLC0415 (a page loads it when asked)

        return BuiltInLlm()
    return open_server(choice)


def open_server(
    choice: ClientChoice, *, connect_s: float | None = None, request_s: float | None = None
) -> HttpLlm:
    """The same for what is asked over HTTP, with limits of its own in seconds."""
    if choice.dialect == SCRIPTED or choice.dialect == BUILT_IN:  # noqa: PLR1714 (mypy narrows it)
        raise _asks_nobody(choice.dialect)
    return HttpLlm(
        choice.base_url,
        dialect=choice.dialect,
        api_key=choice.api_key,
        provider=choice.provider,
        key_variables=choice.key_variables or _keys_for(choice.dialect),
        connect_s=connect_s,
        request_s=request_s,
    )


def _serverless(model: str, base_url: str | None) -> ClientChoice:
    if base_url:
        raise _asks_nobody(model)
    if model == SCRIPTED:
        return ClientChoice(dialect="scripted", provider="scripted")
    if not _target.IN_BROWSER:
        raise LlmFailed(
            provider=BUILT_IN,
            reason="invalid_model",
            detail="the browser's own model is in browsers alone",
            hint=f"open the team in the page, choose another model with --model, or {_OFFLINE}",
        )
    return ClientChoice(dialect="built-in", provider="other")


def _asks_nobody(model: str) -> InvalidParams:
    return InvalidParams(
        what=f"the model {model!r} asks no server",
        path="base_url",
        hint="leave out the base URL, or choose another model",
    )


def _on(
    server: str, model: str, provider: str, models: Catalogue, env: Mapping[str, str]
) -> ClientChoice:
    """A server by its name in the catalogue, or by its URL."""
    if server.startswith(("http://", "https://")):
        return _at(server, _dialect_in(server), provider, None)
    found = models.servers.get(server)
    if found is None:
        have = ", ".join(models.servers) or "none"
        raise InvalidParams(
            what=f"no server named {server!r} is known; there is {have}",
            path="self_hosted_server_id",
            hint=f"put [servers.{server}] into your models file (docs/models.md)",
        )
    variables = () if found.key is UNSET else (found.key,)
    key = first_set(env, variables)
    if variables and key is None:
        raise LlmKeyMissing(provider=server, model=model, variables=variables)
    spoken = _dialect_in(found.base_url) if found.dialect is UNSET else found.dialect
    return ClientChoice(
        dialect=spoken,
        provider="self_hosted",
        base_url=found.base_url,
        api_key=key,
        key_variables=variables,
    )


def _at(url: str, dialect: DialectName, provider: str, key: str | None) -> ClientChoice:
    told = "self_hosted" if provider == "other" else provider
    return ClientChoice(dialect=dialect, provider=told, base_url=url, api_key=key)


def _keys_for(dialect: DialectName) -> tuple[str, ...]:
    """The variables of those whose dialect it is; a key never goes to the server of another."""
    return next((home.keys for home in HOMES.values() if home.dialect == dialect), ANYBODY.keys)


def _dialect_in(base_url: str) -> DialectName:
    """The dialect whose endpoint or name a URL ends with, or that is spoken at a provider's home.

    ``/openai`` names none: many serve chat completions there. It is our own proxy on loopback.
    """
    path = base_url.partition("?")[0].strip().rstrip("/")
    ending = [one for one in DIALECTS.values() if path.endswith(one.endpoint.partition("?")[0])]
    if ending:
        return ending[0].name
    for home in HOMES.values():
        if path.startswith(home.base_url):
            return home.dialect
    try:
        parts = urlsplit(path)
    except ValueError:
        return "chat"
    if named := _NAMED.search(parts.path):
        return "anthropic" if named[1] else "gemini"
    of_our_proxy = parts.path == "/openai" and is_loopback(parts.hostname or "")
    return "responses" if of_our_proxy else "chat"


def first_set(env: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The value of the first variable that has one; blank is none."""
    return next((env[name].strip() for name in names if env.get(name, "").strip()), None)
