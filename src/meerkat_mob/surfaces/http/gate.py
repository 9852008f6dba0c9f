"""Whom the proxy lets in: decided before anything else is looked at. Pure.

A page cannot lie about its ``Origin``, and no page can leave it out where it could do harm: so what
comes without one comes from a program, and programs are let in from this machine only. ``Host``
must be a name of ours, or a page could come in under a name of its own that it lets point here.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.base_url import is_loopback
from meerkat_mob.llm.proxied import ProxyFault

_USUAL_PORTS: Final = {"http": 80, "https": 443}
_A_PAGE_S: Final = frozenset({"cross-site", "same-site"})
"""What ``Sec-Fetch-Site`` says where a browser asks for a page of somewhere else."""


class Doors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The origins whose pages are let in, and the host that the proxy listens on."""

    origins: frozenset[str]
    host: str


class Visitor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request says of itself, and the address that it comes from."""

    host: str
    origin: str | None
    fetch_site: str | None
    address: str


def refusal(visitor: Visitor, doors: Doors) -> ProxyFault | None:
    """Why a visitor is not let in; None lets it in."""
    if not _is_ours(visitor.host, doors.host):
        return ProxyFault(
            code="host_refused",
            detail=f"the proxy is not known by the name {visitor.host!r}",
            hint="ask it at 127.0.0.1 or localhost, or at the address it was started with",
        )
    if visitor.origin is not None:
        return None if visitor.origin in doors.origins else _stranger(visitor.origin)
    if visitor.fetch_site in _A_PAGE_S:
        return _stranger("an origin it does not tell")
    if not is_loopback(visitor.address):
        return ProxyFault(
            code="origin_refused",
            detail="programs are let in from the proxy's own machine only",
            hint="run the program there, or start a proxy here",
        )
    return None


def _stranger(origin: str) -> ProxyFault:
    return ProxyFault(
        code="origin_refused",
        detail=f"the proxy does not let pages of {origin} in",
        hint=f"start it with --origin {origin}" if "://" in origin else "ask it by fetch",
    )


def _is_ours(told: str, bound: str) -> bool:
    """Whether a ``Host`` is loopback's, the bound one's, or, bound to others, a bare address."""
    try:
        name = urlsplit(f"//{told}").hostname or ""
    except ValueError:
        return False
    if is_loopback(name) or name == bound.lower():
        return True
    return not is_loopback(bound) and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def origins_of(given: Iterable[str]) -> frozenset[str]:
    """Origins as browsers write them: no path, small letters, no port that is the usual one.

    Raises ``InvalidParams`` for what is no origin, and for ``*`` and ``null``, which anybody has.
    """
    return frozenset(map(_origin, given))


def _origin(given: str) -> str:
    text = given.strip()
    if text in {"*", "null"}:
        raise InvalidParams(
            what=f"{text!r} would let in every page that is opened on this machine, to spend with "
            "your keys",
            path="--origin",
            hint="name the origin of each page, such as http://localhost:8000",
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_origin(text) from None
    extra = (parts.query, parts.fragment, parts.username, parts.path.removesuffix("/"))
    if not (parts.scheme and parts.hostname and text.isascii()) or any(extra):
        raise _no_origin(text)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port is None or port == _USUAL_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if usual else f":{port}")


def _no_origin(given: str) -> InvalidParams:
    return InvalidParams(
        what=f"{given!r} is no origin",
        path="--origin",
        hint="give the beginning of the page's address up to its port, such as "
        "http://localhost:8000, as location.origin tells it there",
    )
