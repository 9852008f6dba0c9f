"""Which endpoint a base URL means. People give it with and without its usual endings.

Without a path, ``/v1`` is added; a path is kept as it is. ``/chat/completions`` is added unless it
is there. So these are one server: ``http://localhost:11434``, ``http://localhost:11434/v1/`` and
``http://localhost:11434/v1/chat/completions``.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from meerkat_mob.errors import InvalidParams

_ENDPOINT: Final = "/chat/completions"


def chat_endpoint(base_url: str) -> str:
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
    path = parts.path.rstrip("/").removesuffix(_ENDPOINT).rstrip("/")
    if not path and not parts.path.rstrip("/").endswith(_ENDPOINT):
        path = "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path + _ENDPOINT, parts.query, ""))


def _refused(given: str, why: str) -> InvalidParams:
    return InvalidParams(
        what=f"{given!r} is no base URL: {why}",
        path="base_url",
        hint="an example is http://localhost:11434/v1",
    )
