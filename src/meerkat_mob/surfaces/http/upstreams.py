"""Where the proxy's paths lead: each provider's home, its key, and the calls that pass. Pure.

What is not in ``CALLS`` does not pass: the key of the environment is there for model calls only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import msgspec

from meerkat_mob.core.provider_names import Provider
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.base_url import endpoint_of, is_loopback
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.failures import Server
from meerkat_mob.llm.http import key_as_given
from meerkat_mob.llm.providers import HOMES, Home, first_set


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call that passes; ``endpoint`` follows a base URL, with ``{model}`` for its name."""

    method: Literal["GET", "POST"]
    endpoint: str


CALLS: Final[Mapping[Provider, tuple[Call, ...]]] = {
    "openai": (
        Call(method="POST", endpoint="/responses"),
        Call(method="POST", endpoint="/chat/completions"),
        Call(method="GET", endpoint="/models"),
    ),
    "anthropic": (
        Call(method="POST", endpoint="/v1/messages"),
        Call(method="GET", endpoint="/v1/models"),
    ),
    "gemini": (
        Call(method="POST", endpoint="/v1beta/models/{model}:streamGenerateContent"),
        Call(method="POST", endpoint="/v1beta/models/{model}:generateContent"),
        Call(method="GET", endpoint="/v1beta/models"),
        Call(method="POST", endpoint="/v1/models/{model}:streamGenerateContent"),
        Call(method="POST", endpoint="/v1/models/{model}:generateContent"),
        Call(method="GET", endpoint="/v1/models"),
    ),
}


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as the environment says it is reached.

    ``url`` ends where the endpoints begin, ``version`` goes between when it has no path.
    ``served``: there is a key, or a server of one's own that may need none. ``headers`` let the
    proxy in, so nothing shows them.
    """

    name: Provider
    url: str
    version: str
    served: bool
    headers: Mapping[str, str]
    key_variables: tuple[str, ...]
    url_variables: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Upstream({self.name}, {self.url!r}, served={self.served})"

    def paths(self, call: Call) -> tuple[str, ...]:
        """Where a page asks for a call: with the version of the dialect or without."""
        versions = dict.fromkeys(("", DIALECTS[HOMES[self.name].dialect].version))
        return tuple(f"/{self.name}{version}{call.endpoint}" for version in versions)

    def target(self, call: Call, *, model: str = "", query: str = "") -> str:
        """The URL that a call is passed to."""
        endpoint = call.endpoint.replace("{model}", quote(model, safe=""))
        asked = f"{endpoint}?{query}" if query else endpoint
        return endpoint_of(self.url, endpoint=asked, version=self.version)


def upstreams_of(env: Mapping[str, str], *, port: int = 0) -> tuple[Upstream, ...]:
    """Every provider, with its key and address from the environment (CLI-4).

    Raises ``InvalidParams`` for a key that no header can carry, for an address that is none, and
    for one that leads back to the proxy's own ``port``.
    """
    return tuple(_upstream(name, HOMES[name], env, port) for name in CALLS)


def _upstream(name: Provider, home: Home, env: Mapping[str, str], port: int) -> Upstream:
    key = key_as_given(first_set(env, home.keys), path=" or ".join(home.keys))
    given = first_set(env, home.urls)
    url, version = _without_endpoint(name, given or home.base_url)
    spoken = DIALECTS[home.dialect]
    made = Upstream(
        name=name,
        url=url,
        version=spoken.version if version else "",
        served=key is not None or given is not None,
        headers=spoken.headers(Server(url=url, provider=name, key=key)),
        key_variables=home.keys,
        url_variables=home.urls,
    )
    _check_address(made, port)
    return made


def _without_endpoint(name: Provider, given: str) -> tuple[str, bool]:
    """A base URL that may end with an endpoint; whether a version may still be missing."""
    head, mark, query = given.partition("?")
    path = head.rstrip("/")
    for call in CALLS[name]:
        if path.endswith(call.endpoint):
            return path.removesuffix(call.endpoint) + mark + query, False
    return given, True


def _check_address(upstream: Upstream, port: int) -> None:
    (variable,) = upstream.url_variables
    try:
        target = urlsplit(upstream.target(CALLS[upstream.name][0]))
    except InvalidParams as fault:
        raise InvalidParams(what=fault.what, path=variable, hint=fault.hint) from fault
    if port and target.port == port and is_loopback(target.hostname or ""):
        raise InvalidParams(
            what=f"{upstream.url} leads back to this proxy",
            path=variable,
            hint="unset it for the proxy; it is for those who ask it",
        )
