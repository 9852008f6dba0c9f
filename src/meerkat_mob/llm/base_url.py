"""Which endpoint a base URL means. People give it with and without its usual endings.

Without a path, the dialect's version is added; a path is kept as it is. The endpoint follows, as
far as it is not there yet. So these are one server: ``http://localhost:11434``,
``http://localhost:11434/v1/`` and ``http://localhost:11434/v1/chat/completions``.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from meerkat_mob.errors import InvalidParams


def endpoint_of(base_url: str, *, endpoint: str, version: str) -> str:
    """The URL to post to; a query is kept. Raises ``InvalidParams`` for what is no http URL."""
    given = base_url.strip()
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError as fault:
        raise _refused(given, str(fault)) from fault
    if parts.scheme not in {"http", "https"} or not host:
        raise _refused(given, "it must begin with http:// or https:// and a host")
    if parts.username is not None:
        raise InvalidParams(
            what="a base URL must hold no user name or password",
            path="base_url",
            hint="give the key by its variable, such as OPENAI_API_KEY",
        )
    tail, _, asked = endpoint.partition("?")
    path = _without(parts.path.rstrip("/"), tail, version)
    query = "&".join(part for part in (parts.query, asked) if part)
    return urlunsplit((parts.scheme, parts.netloc, path + tail, query, ""))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as far as its name says; no proxy stands before it."""
    name = host.strip("[]").removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_mixed(origin: str, url: str) -> bool:
    """Whether browsers forbid a page from ``origin`` to speak to ``url``, whoever is there."""
    parts = urlsplit(url)
    return (
        origin.startswith("https:")
        and parts.scheme == "http"
        and not is_loopback(parts.hostname or "")
    )


def _without(path: str, tail: str, version: str) -> str:
    """The path without what it has of the endpoint already."""
    if not path:
        return version
    steps = tail.split("/")
    for count in range(len(steps), 1, -1):
        begun = "/".join(steps[:count])
        if path.endswith(begun):
            return path.removesuffix(begun).rstrip("/")
    return path


def _refused(given: str, why: str) -> InvalidParams:
    return InvalidParams(
        what=f"{given!r} is no base URL: {why}",
        path="base_url",
        hint="an example is http://localhost:11434/v1",
    )
