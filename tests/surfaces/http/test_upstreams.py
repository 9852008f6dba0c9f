"""Where the proxy's paths lead, for every address and key that the environment may hold."""

from __future__ import annotations

import pytest

from meerkat_mob.core.provider_names import Provider
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.providers import HOMES
from meerkat_mob.surfaces.http.upstreams import CALLS, Upstream, upstreams_of
from tests.surfaces.http.kit import KEYS


def of(name: Provider, **env: str) -> Upstream:
    return next(one for one in upstreams_of(env) if one.name == name)


def targets(upstream: Upstream) -> list[str]:
    return [upstream.target(call, model="m") for call in CALLS[upstream.name]]


def test_every_provider_with_a_home_has_a_way_for_every_dialect_spoken_there() -> None:
    assert set(CALLS) == set(HOMES)
    passing = {call.endpoint for calls in CALLS.values() for call in calls}
    needed = {told for one in DIALECTS.values() for told in (one.endpoint, one.listing)}
    assert {told.partition("?")[0] for told in needed} <= passing


def test_without_any_address_they_lead_to_the_providers() -> None:
    assert [targets(one) for one in upstreams_of(KEYS)] == [
        [
            "https://api.openai.com/v1/responses",
            "https://api.openai.com/v1/chat/completions",
            "https://api.openai.com/v1/models",
        ],
        ["https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/models"],
        [
            "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent",
            "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
            "https://generativelanguage.googleapis.com/v1beta/models",
            "https://generativelanguage.googleapis.com/v1/models/m:streamGenerateContent",
            "https://generativelanguage.googleapis.com/v1/models/m:generateContent",
            "https://generativelanguage.googleapis.com/v1/models",
        ],
    ]


@pytest.mark.parametrize(
    ("name", "given", "root"),
    [
        ("openai", "http://h:1", "http://h:1/v1"),
        ("openai", "http://h:1/v1/", "http://h:1/v1"),
        ("openai", "http://h/gate", "http://h/gate"),
        ("openai", "http://h/v1/chat/completions", "http://h/v1"),
        ("openai", "http://h/responses", "http://h"),
        ("anthropic", "http://h", "http://h/v1"),
        ("anthropic", "http://h/gate/v1", "http://h/gate/v1"),
        ("anthropic", "http://h/v1/messages", "http://h/v1"),
    ],
)
def test_an_address_of_the_environment_is_taken_in_the_usual_forms(
    name: Provider, given: str, root: str
) -> None:
    upstream = of(name, **{f"{name.upper()}_BASE_URL": given})
    assert targets(upstream)[-1] == f"{root}/models"
    assert all(target.startswith(f"{root}/") for target in targets(upstream))


def test_a_version_that_an_address_ends_with_is_not_said_twice() -> None:
    for given in ("http://h", "http://h/v1beta", "http://h/v1beta/models"):
        upstream = of("gemini", GEMINI_BASE_URL=given)
        assert targets(upstream)[:3] == [
            "http://h/v1beta/models/m:streamGenerateContent",
            "http://h/v1beta/models/m:generateContent",
            "http://h/v1beta/models",
        ]


def test_what_an_address_asks_goes_along() -> None:
    upstream = of("openai", OPENAI_BASE_URL="http://h/openai?api-version=1")
    assert upstream.target(CALLS["openai"][2], query="limit=2") == (
        "http://h/openai/models?api-version=1&limit=2"
    )


def test_a_model_s_name_cannot_lead_elsewhere() -> None:
    stream = CALLS["gemini"][0]
    told = of("gemini").target(stream, model="../../x?key=1#y")
    assert told.endswith("/v1beta/models/..%2F..%2Fx%3Fkey%3D1%23y:streamGenerateContent")


@pytest.mark.parametrize(
    ("name", "variable", "header", "prefix"),
    [
        ("openai", "RKAT_OPENAI_API_KEY", "authorization", "Bearer "),
        ("anthropic", "RKAT_ANTHROPIC_API_KEY", "x-api-key", ""),
        ("gemini", "GOOGLE_API_KEY", "x-goog-api-key", ""),
    ],
)
def test_a_key_stands_in_the_header_of_its_dialect_and_is_shown_nowhere(
    name: Provider, variable: str, header: str, prefix: str
) -> None:
    upstream = of(name, **{variable: " sk-secret\n"})
    assert upstream.headers[header] == f"{prefix}sk-secret"
    assert upstream.served
    assert "sk-secret" not in repr(upstream)


def test_our_own_variable_comes_before_the_usual_one() -> None:
    upstream = of("openai", OPENAI_API_KEY="usual", RKAT_OPENAI_API_KEY="own")
    assert upstream.headers["authorization"] == "Bearer own"


def test_a_provider_is_served_with_a_key_or_at_an_address_of_ones_own() -> None:
    assert [one.served for one in upstreams_of({})] == [False, False, False]
    env = {"OPENAI_BASE_URL": "http://h", "GEMINI_API_KEY": "g", "ANTHROPIC_API_KEY": " "}
    assert [one.served for one in upstreams_of(env)] == [True, False, True]
    assert "authorization" not in of("openai", OPENAI_BASE_URL="http://h").headers


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"OPENAI_BASE_URL": "h:1"}, "OPENAI_BASE_URL: "),
        ({"GEMINI_BASE_URL": "http://me:pw@h"}, "GEMINI_BASE_URL: "),
        ({"ANTHROPIC_API_KEY": "sk-\x00"}, "RKAT_ANTHROPIC_API_KEY or ANTHROPIC_API_KEY: "),
        ({"OPENAI_BASE_URL": "http://localhost:8787/openai"}, "leads back to this proxy"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused_at_its_variable(
    env: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidParams) as caught:
        upstreams_of(env, port=8787)
    assert told in str(caught.value)
    assert next(iter(env)) in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_another_port_of_this_machine_is_no_way_back() -> None:
    env = {"OPENAI_BASE_URL": "http://localhost:11434/v1"}
    assert upstreams_of(env, port=8787)[0].served
