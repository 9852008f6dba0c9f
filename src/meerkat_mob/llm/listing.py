"""Which models a server says it has. The forms differ by provider; each has the names."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import msgspec

from meerkat_mob.core.safe_json import refuse_deep


class _Model(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Listing(msgspec.Struct):
    """``data`` of OpenAI's and Anthropic's form, ``models`` of Gemini's."""

    data: tuple[_Model, ...] | None = None
    models: tuple[_Model, ...] | None = None


def names_in(body: str) -> tuple[str, ...]:
    """The names in a listing, sorted. Raises ``ValueError`` for what is none."""
    refuse_deep(body)
    try:
        found = msgspec.json.decode(body, type=_Listing)
    except msgspec.MsgspecError as fault:  # not a ValueError in older versions
        raise ValueError(str(fault)) from fault
    if found.data is None and found.models is None:
        raise ValueError("it has neither data nor models")
    told = (found.models or ()) if found.data is None else found.data
    return tuple(sorted({(one.id or one.name).removeprefix("models/") for one in told} - {""}))


def beside(url: str, *, endpoint: str, listing: str) -> str:
    """The listing's URL on the server whose model endpoint is ``url``; a query is kept."""
    parts = urlsplit(url)
    path, query = parts.path, parts.query
    tail, _, asked = endpoint.partition("?")
    wanted, _, asks = listing.partition("?")
    kept = "&".join(part for part in query.split("&") if part and part != asked)
    both = "&".join(part for part in (kept, asks) if part)
    return urlunsplit((parts.scheme, parts.netloc, path.removesuffix(tail) + wanted, both, ""))
