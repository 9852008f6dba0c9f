"""Whom the proxy lets in, row by row, and what counts as an origin."""

from __future__ import annotations

import pytest

from meerkat_mob.errors import InvalidParams
from meerkat_mob.surfaces.http.gate import Doors, Visitor, origins_of, refusal

PAGE = "http://localhost:8000"
OURS = "127.0.0.1:8787"


def refused(
    host: str = OURS,
    origin: str | None = None,
    *,
    site: str | None = None,
    address: str = "127.0.0.1",
    bound: str = "127.0.0.1",
) -> str | None:
    """The code of the refusal, None for none."""
    visitor = Visitor(host=host, origin=origin, fetch_site=site, address=address)
    fault = refusal(visitor, Doors(origins=frozenset({PAGE}), host=bound))
    return None if fault is None else fault.code


@pytest.mark.parametrize(
    ("host", "bound", "ours"),
    [
        (OURS, "127.0.0.1", True),
        ("localhost:8787", "127.0.0.1", True),
        ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:8787", "::1", True),
        ("evil.example:8787", "127.0.0.1", False),
        ("localhost.evil.example:8787", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("127.0.0.1@evil.example", "127.0.0.1", False),
        ("10.0.0.1:8787", "127.0.0.1", False),
        ("10.0.0.1:8787", "0.0.0.0", True),
        ("[fe80::1]:8787", "::", True),
        ("evil.example:8787", "0.0.0.0", False),
        ("Box.Lan:8787", "box.lan", True),
        ("", "127.0.0.1", False),
        ("[:8787", "127.0.0.1", False),
    ],
)
def test_it_answers_to_names_of_its_own(host: str, bound: str, ours: bool) -> None:
    assert refused(host, PAGE, bound=bound) == (None if ours else "host_refused")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8001",
        "http://127.0.0.1:8000",
        "https://localhost:8000",
        "http://localhost:8000.evil.example",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert refused(origin=PAGE) is None
    assert refused(origin=origin) == "origin_refused"


@pytest.mark.parametrize(
    ("site", "address", "code"),
    [
        (None, "127.0.0.1", None),
        (None, "::1", None),
        ("none", "127.0.0.1", None),
        ("same-origin", "127.0.0.1", None),
        ("cross-site", "127.0.0.1", "origin_refused"),
        ("same-site", "127.0.0.1", "origin_refused"),
        (None, "10.0.0.9", "origin_refused"),
        (None, "", "origin_refused"),
    ],
)
def test_without_an_origin_only_programs_of_this_machine_are_let_in(
    site: str | None, address: str, code: str | None
) -> None:
    assert refused(site=site, address=address) == code


def test_a_refused_page_is_told_which_option_lets_it_in() -> None:
    visitor = Visitor(host=OURS, origin="http://a:1", fetch_site=None, address="127.0.0.1")
    fault = refusal(visitor, Doors(origins=frozenset(), host="127.0.0.1"))
    assert fault is not None
    assert "--origin http://a:1" in fault.hint


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        (" HTTP://LocalHost:8000/ ", "http://localhost:8000"),
        ("http://localhost:80", "http://localhost"),
        ("https://a.example:443/", "https://a.example"),
        ("https://a.example:80", "https://a.example:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_origin_is_taken_as_browsers_write_it(given: str, origin: str) -> None:
    assert origins_of([given]) == {origin}


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8000",
        "",
        "http://",
        "http://a/page",
        "http://a?x",
        "http://a#x",
        "http://me@a",
        "http://a:port",
        "http://ü.example",
        "http://[",
    ],
)
def test_what_is_no_origin_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InvalidParams, match=r"--origin: .*http://localhost:8000"):
        origins_of([given])


@pytest.mark.parametrize("given", ["*", "null"])
def test_what_would_let_everybody_in_is_refused(given: str) -> None:
    with pytest.raises(InvalidParams, match="every page"):
        origins_of([PAGE, given])
