"""What went wrong, told so that its user can mend it (spec sessions CLI-3)."""

from __future__ import annotations

import pytest

from meerkat_mob.errors import LlmFailed, LlmUnreachable
from meerkat_mob.llm.base_url import is_mixed
from meerkat_mob.llm.failures import (
    Obstacle,
    Server,
    not_a_model_server,
    not_answering,
    reported,
    retry_after_ms,
    status_failure,
    words_of,
)
from meerkat_mob.llm.proxied import FAULTS, FaultCode, ProxyFault, encode_fault

SERVER = Server(
    url="http://here/v1/chat/completions",
    provider="openai",
    key="sk-secret",
    key_variables=("RKAT_OPENAI_API_KEY", "OPENAI_API_KEY"),
)
STRANGER = Server(url=SERVER.url, provider="self_hosted", key_variables=SERVER.key_variables)


@pytest.mark.parametrize(
    ("status", "reason", "retryable", "hint"),
    [
        (400, "provider_error", False, "does not take this request"),
        (401, "auth_error", False, "check RKAT_OPENAI_API_KEY or OPENAI_API_KEY"),
        (403, "auth_error", False, "check RKAT_OPENAI_API_KEY or OPENAI_API_KEY"),
        (404, "invalid_model", False, "/chat/completions"),
        (418, "provider_error", False, "does not take this request"),
        (429, "rate_limited", True, "wait"),
        (500, "provider_error", True, "log"),
        (502, "provider_error", True, "log"),
        (503, "provider_error", True, "overloaded"),
    ],
)
def test_a_status_says_what_failed_and_whether_to_try_again(
    status: int, reason: str, retryable: bool, hint: str
) -> None:
    error = status_failure(SERVER, status, body='{"error":{"message":"its own words"}}')
    assert (error.reason, error.retryable, error.status) == (reason, retryable, status)
    assert hint in error.hint
    assert "its own words" in str(error)
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize("code", FAULTS)
def test_what_a_proxy_says_for_itself_is_not_told_as_the_servers_fault(code: FaultCode) -> None:
    body = encode_fault(ProxyFault(code=code, detail="so it is", hint="do that")).decode()
    row = FAULTS[code]
    error = status_failure(SERVER, row.status, body=body)
    assert str(error) == (
        f"openai: http://here/v1/chat/completions answered {row.status}: so it is; do that"
    )
    assert (error.reason, error.retryable) == (row.reason, row.retryable)
    assert words_of(body) == "so it is; do that"  # as clients of others show it


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"type":"meerkat_mob_proxy","code":"of_tomorrow","message":"m"}}',
        '{"error":{"type":"meerkat_mob_proxy"}}',
        '{"error":{"type":"else","code":"key_missing","message":"m","detail":"d","hint":"h"}}',
        '{"error":"m"}',
        "",
    ],
)
def test_what_no_proxy_of_this_version_said_is_the_servers_own(body: str) -> None:
    assert status_failure(SERVER, 503, body=body).retryable


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_names_the_variables(status: int) -> None:
    error = status_failure(STRANGER, status)
    assert error.hint == "it wants a key: set RKAT_OPENAI_API_KEY or OPENAI_API_KEY"


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"code":"context_length_exceeded","message":"m"}}',
        '{"error":{"type":"exceed_context_size_error","message":"m"}}',
        '{"message":"This model\'s maximum context length is 4096 tokens"}',
        '{"error":"the request exceeds the available context size"}',
        '{"error":{"message":"input length and `max_tokens` exceed context limit: 9 + 4 > 10"}}',
        '{"error":{"message":"The input token count (9) exceeds the maximum number of tokens"}}',
    ],
)
def test_a_conversation_that_is_too_long_has_a_reason_of_its_own(body: str) -> None:
    error = status_failure(SERVER, 400, body=body)
    assert error.reason == "context_exceeded"
    assert "shorten" in error.hint


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2", 2000),
        ("0.25", 250),
        ("0.0001", 1),
        ("0", 0),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_no_hint(value: str | None, ms: int | None) -> None:
    assert retry_after_ms(value) == ms
    assert status_failure(SERVER, 429, retry_after=value).retry_after_ms == ms


def test_a_web_page_with_an_error_status_is_told_as_one() -> None:
    error = status_failure(SERVER, 404, body="<!DOCTYPE html><html><body>Not here</body></html>")
    assert isinstance(error, LlmUnreachable)
    assert "a web page, not as a model server" in str(error)


def test_a_redirect_is_not_followed_but_told() -> None:
    error = status_failure(SERVER, 308)
    assert isinstance(error, LlmUnreachable)
    assert "a redirect" in str(error)
    assert not error.retryable


def test_long_bodies_are_cut_and_put_on_one_line() -> None:
    error = status_failure(SERVER, 500, body="line\n" * 500)
    assert len(str(error)) < 600
    assert "\n" not in str(error)


def test_on_the_host_nothing_answering_is_one_thing() -> None:
    error = not_answering(SERVER, "Connection refused")
    assert "nothing answers there (Connection refused)" in str(error)
    assert "--base-url" in error.hint
    assert not error.retryable


@pytest.mark.parametrize(
    ("obstacle", "detail", "way_out"),
    [
        ("mixed", "lets it speak to no http server", "https"),
        ("cors", "does not let this page in (CORS)", "OLLAMA_ORIGINS"),
        ("silent", "nothing answers there", "start the server"),
        (
            "unknown",
            "nothing answers there, or it does not let this page in",
            "start it, and allow",
        ),
    ],
)
def test_what_stands_between_a_page_and_a_server_is_told_with_the_way_out(
    obstacle: Obstacle, detail: str, way_out: str
) -> None:
    error = not_answering(SERVER, "Failed to fetch", obstacle)
    assert detail in error.detail
    assert "Failed to fetch" in error.detail
    assert way_out in error.hint
    assert not error.retryable


@pytest.mark.parametrize(
    ("origin", "url", "mixed"),
    [
        ("https://page.example", "http://10.0.0.7:8000/v1", True),
        ("https://page.example", "http://localhost:11434/v1", False),
        ("https://page.example", "http://127.0.0.1:11434/v1", False),
        ("https://page.example", "https://10.0.0.7/v1", False),
        ("http://page.example", "http://10.0.0.7/v1", False),
        ("", "http://10.0.0.7/v1", False),
    ],
)
def test_http_from_an_https_page_is_known_before_anybody_is_asked(
    origin: str, url: str, mixed: bool
) -> None:
    assert is_mixed(origin, url) is mixed


def test_a_good_status_without_a_completion_says_what_came_instead() -> None:
    assert "with a web page" in str(not_a_model_server(SERVER, "text/html", "<html>hi</html>"))
    assert "application/xml" in str(not_a_model_server(SERVER, "application/xml", "<a/>"))
    assert "without a type" in str(not_a_model_server(SERVER, "", ""))


def test_an_error_inside_an_answer_follows_its_code() -> None:
    error = reported(SERVER, {"code": 503, "message": "busy"})
    assert (type(error), error.status, error.retryable) == (LlmFailed, 503, True)


def test_a_server_never_shows_its_key() -> None:
    assert "sk-secret" not in repr(SERVER)
