"""Who answers for a model: decided from its name, what was given, and the environment.

The decision is pure; only ``open_client`` makes something. Nothing falls back in silence: what
cannot be answered is an error that names the variable, the flag and the way to play offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from meerkat_mob.core.provider_names import Provider, infer_provider
from meerkat_mob.errors import CapabilityUnavailable, LlmKeyMissing
from meerkat_mob.llm.client import LlmClient

OPENAI_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLES: Final = ("RKAT_OPENAI_API_KEY", "OPENAI_API_KEY")
URL_VARIABLE: Final = "OPENAI_BASE_URL"


class ClientChoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A server and how to be let in; an absent key means none is sent."""

    base_url: str
    api_key: str | None
    provider: Provider


def choose(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
) -> ClientChoice:
    """The server for a model. What is given wins over the environment.

    A base URL without a key is fine. Raises ``LlmKeyMissing`` for a model of OpenAI's without
    either, and ``CapabilityUnavailable`` for a model whose provider has no client here.
    """
    known = env or {}
    url = base_url or known.get(URL_VARIABLE)
    key = api_key or next((known[v] for v in KEY_VARIABLES if known.get(v)), None)
    provider = infer_provider(model)
    if url:
        return ClientChoice(base_url=url, api_key=key, provider=provider or "self_hosted")
    if provider == "openai":
        if key is None:
            raise LlmKeyMissing(provider=provider, model=model, variables=KEY_VARIABLES)
        return ClientChoice(base_url=OPENAI_URL, api_key=key, provider=provider)
    raise CapabilityUnavailable(
        capability=f"model {model!r}",
        why=f"there is no client for {provider or 'its unknown provider'} in this version",
        instead=f"pass --base-url (or set {URL_VARIABLE}) of an OpenAI-compatible server that has "
        "it, choose another one with --model, or play offline with --model scripted",
    )


def open_client(choice: ClientChoice) -> LlmClient:
    """A client for a choice. Raises ``CapabilityUnavailable`` without the extra ``http``."""
    from meerkat_mob.llm.openai_compatible import OpenAiCompatible  # noqa: PLC0415

    return OpenAiCompatible(choice.base_url, api_key=choice.api_key, provider=choice.provider)
