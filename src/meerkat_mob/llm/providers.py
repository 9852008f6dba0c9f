"""Who answers for a model: decided from its name, what was given, and the environment.

The decision is pure; only ``open_client`` makes something. Nothing falls back in silence: what
cannot be answered is an error that names the variable, the flag and the way to play offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from meerkat_mob.core.provider_names import infer_provider
from meerkat_mob.errors import CapabilityUnavailable, InvalidParams, LlmFailed, LlmKeyMissing
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.llm.openai_compatible import KEY_VARIABLES, OpenAiCompatible
from meerkat_mob.llm.plain import PlainLlm

OPENAI_URL: Final = "https://api.openai.com/v1"
URL_VARIABLE: Final = "OPENAI_BASE_URL"
SCRIPTED: Final = "scripted"
"""The name of the model that plays any team offline."""

_OFFLINE: Final = f"play offline with --model {SCRIPTED}"


class ClientChoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which client, for which server, with which key; None sends none.

    Equal choices may share one client. ``base_url`` is empty where nothing is asked over HTTP.
    """

    dialect: Literal["openai_compatible", "scripted"]
    provider: str
    base_url: str = ""
    api_key: str | None = None

    def __repr__(self) -> str:
        key = "none" if self.api_key is None else "set"
        return f"ClientChoice({self.dialect}, {self.provider}, {self.base_url!r}, key {key})"


def choose(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
) -> ClientChoice:
    """The client for a model. What is given wins over the environment (CLI-4).

    A base URL, given or from ``OPENAI_BASE_URL``, is asked for every model, key or no key. Raises
    ``LlmKeyMissing`` for a model of OpenAI's with neither, ``CapabilityUnavailable`` for one whose
    provider speaks a dialect of its own, ``LlmFailed`` for one nobody is known to serve, and
    ``InvalidParams`` for the scripted model with a base URL.
    """
    if model == SCRIPTED:
        if base_url:
            raise InvalidParams(
                what=f"the model {SCRIPTED!r} asks no server",
                path="base_url",
                hint="leave out the base URL, or choose another model",
            )
        return ClientChoice(dialect="scripted", provider="scripted")
    known = env or {}
    url = base_url or _first(known, (URL_VARIABLE,))
    key = api_key or _first(known, KEY_VARIABLES)
    provider = infer_provider(model)
    if url is None and provider != "openai":
        raise _no_server(model, provider)
    if url is None and key is None:
        raise LlmKeyMissing(provider=provider, model=model, variables=KEY_VARIABLES)
    return ClientChoice(
        dialect="openai_compatible",
        provider="self_hosted" if provider == "other" else provider,
        base_url=url or OPENAI_URL,
        api_key=key,
    )


def open_client(choice: ClientChoice) -> LlmClient:
    """The client of a choice; its connections open when first used.

    Raises ``CapabilityUnavailable`` without the extra ``http``, ``InvalidParams`` for a bad URL.
    """
    match choice.dialect:
        case "scripted":
            return PlainLlm()
        case "openai_compatible":
            return OpenAiCompatible(
                choice.base_url, api_key=choice.api_key, provider=choice.provider
            )


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The value of the first variable that has one; blank is none."""
    return next((env[name].strip() for name in names if env.get(name, "").strip()), None)


def _no_server(model: str, provider: str) -> CapabilityUnavailable | LlmFailed:
    way_out = (
        f"pass --base-url (or set {URL_VARIABLE}) of an OpenAI-compatible server that has "
        f"it, choose another model with --model, or {_OFFLINE}"
    )
    if provider == "other":
        return LlmFailed(
            provider=provider,
            reason="invalid_model",
            detail=f"the name {model!r} tells no provider",
            hint=way_out,
        )
    return CapabilityUnavailable(
        capability=f"model {model!r}",
        why=f"it is {provider}'s, whose own dialect this version does not speak",
        instead=way_out,
    )
