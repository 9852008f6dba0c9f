"""Who answers (design: who answers; spec sessions CLI-4), and which endpoint a base URL means."""

from __future__ import annotations

import pytest

from meerkat_mob.errors import InvalidParams, LlmFailed, LlmKeyMissing
from meerkat_mob.llm import ClientChoice, HttpLlm, PlainLlm, choose, open_client
from meerkat_mob.llm.base_url import endpoint_of
from meerkat_mob.llm.dialect import DialectName

HERE = "http://localhost:11434/v1"


def asked(
    provider: str,
    base_url: str,
    api_key: str | None = None,
    dialect: DialectName = "chat",
) -> ClientChoice:
    return ClientChoice(dialect=dialect, provider=provider, base_url=base_url, api_key=api_key)


@pytest.mark.parametrize(
    ("model", "provider", "url", "dialect"),
    [
        ("gpt-5.2", "openai", "https://api.openai.com/v1", "responses"),
        ("claude-opus-4-6", "anthropic", "https://api.anthropic.com", "anthropic"),
        ("Gemini-3", "gemini", "https://generativelanguage.googleapis.com", "gemini"),
    ],
)
def test_a_provider_s_models_are_asked_at_home_with_its_own_key(
    model: str, provider: str, url: str, dialect: DialectName
) -> None:
    env = {f"{name}_API_KEY": f"of {name}" for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
    key = f"of {provider.upper()}"
    assert choose(model, env=env) == asked(provider, url, key, dialect)
    assert choose(model, api_key="arg", env=env).api_key == "arg"


@pytest.mark.parametrize(("model", "name"), [("claude-5", "ANTHROPIC"), ("gemini-3", "GEMINI")])
def test_a_provider_s_own_address_can_be_another(model: str, name: str) -> None:
    choice = choose(model, env={f"{name}_BASE_URL": "http://gate", "OPENAI_BASE_URL": HERE})
    assert (choice.base_url, choice.dialect) == ("http://gate", name.lower())


def test_a_key_never_goes_to_the_server_of_another() -> None:
    env = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o", "GEMINI_API_KEY": "g"}
    assert choose("claude-5", base_url=HERE, env=env).api_key == "o"
    assert choose("gpt-5", base_url="http://h", dialect="anthropic", env=env).api_key == "a"


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("http://h", "chat"),
        ("http://h/v1/chat/completions/", "chat"),
        ("http://h/v1/responses?x=1", "responses"),
        ("http://h/v1/messages", "anthropic"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://generativelanguage.googleapis.com/v1beta/", "gemini"),
        ("https://api.openai.com/v1", "responses"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", "chat"),
        ("http://127.0.0.1:8787/anthropic", "anthropic"),
        ("http://127.0.0.1:8787/gemini/", "gemini"),
        ("http://127.0.0.1:8787/openai", "responses"),
        ("http://[::1]:8787/openai/", "responses"),
        ("https://gateway.example/v1/me/anthropic/v1", "anthropic"),
        ("https://gateway.example/gemini/v1beta?x=1", "gemini"),
        ("https://gateway.example/openai", "chat"),
        ("https://gateway.example/v1/openai", "chat"),
        ("http://localhost:8080/v1/openai", "chat"),
        ("http://localhost:8080/openai/v1", "chat"),
        ("https://gateway.example/misanthropic", "chat"),
        ("https://gateway.example/anthropic/models", "chat"),
        ("https://anthropic", "chat"),
        ("http://[/openai", "chat"),
    ],
)
def test_the_end_of_an_address_tells_its_dialect(url: str, dialect: DialectName) -> None:
    assert choose("m", base_url=url).dialect == dialect
    assert choose("m", env={"OPENAI_BASE_URL": url}).dialect == dialect
    assert choose("m", base_url=url, dialect="responses").dialect == "responses"


def test_our_own_variable_comes_before_the_usual_one() -> None:
    env = {"OPENAI_API_KEY": "usual", "RKAT_OPENAI_API_KEY": "own"}
    assert choose("gpt-5.2", env=env).api_key == "own"


def test_what_is_given_wins_over_the_environment() -> None:
    env = {"OPENAI_API_KEY": "env", "OPENAI_BASE_URL": "http://env"}
    assert choose("llama3.2", base_url=HERE, api_key="arg", env=env) == asked(
        "self_hosted", HERE, "arg"
    )


@pytest.mark.parametrize("model", ["gpt-5.2", "claude-opus-4-6", "gemini-3-pro", "llama3.2"])
def test_a_base_url_is_asked_for_every_model_with_or_without_a_key(model: str) -> None:
    assert choose(model, base_url=HERE).api_key is None
    assert choose(model, env={"OPENAI_BASE_URL": HERE}) == choose(model, base_url=HERE)


def test_blank_variables_are_not_set() -> None:
    with pytest.raises(LlmKeyMissing):
        choose("gpt-5.2", env={"OPENAI_API_KEY": " ", "OPENAI_BASE_URL": ""})


@pytest.mark.parametrize(
    ("model", "name"), [("gpt-5.2", "OPENAI"), ("claude-5", "ANTHROPIC"), ("gemini-3", "GEMINI")]
)
def test_a_missing_key_names_the_variables_the_flag_and_the_way_offline(
    model: str, name: str
) -> None:
    with pytest.raises(LlmKeyMissing) as caught:
        choose(model, env={})
    for word in (f"{name}_API_KEY", f"RKAT_{name}_API_KEY", "--base-url", "--model scripted"):
        assert word in str(caught.value)


def test_a_name_that_tells_no_provider_says_how_to_go_on() -> None:
    with pytest.raises(LlmFailed) as caught:
        choose("llama3.2", env={"OPENAI_API_KEY": "k"})
    assert caught.value.reason == "invalid_model"
    for word in ("'llama3.2'", "--base-url", "--model scripted"):
        assert word in str(caught.value)


def test_the_scripted_model_plays_offline_whatever_the_environment_holds() -> None:
    choice = choose("scripted", env={"OPENAI_BASE_URL": HERE, "OPENAI_API_KEY": "k"})
    client = open_client(choice)
    assert isinstance(client, PlainLlm)
    assert client.provider == "scripted"


def test_the_scripted_model_with_a_base_url_is_a_contradiction() -> None:
    with pytest.raises(InvalidParams, match="asks no server"):
        choose("scripted", base_url=HERE)


async def test_a_choice_becomes_a_client_without_any_connection() -> None:
    client = open_client(choose("llama3.2", base_url=HERE))
    assert isinstance(client, HttpLlm)
    assert client.provider == "self_hosted"
    await client.aclose()
    await client.aclose()


def test_equal_choices_can_share_a_client_and_show_no_key() -> None:
    one, two = (choose("gpt-5.2", api_key="sk-secret") for _ in range(2))
    assert len({one, two}) == 1
    assert "sk-secret" not in repr(one)


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
        (" http://localhost:11434/v1/ ", "http://localhost:11434/v1/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/chat/completions/", "http://h/v1/chat/completions"),
        ("http://h/chat/completions", "http://h/chat/completions"),
        ("https://h/api/v1", "https://h/api/v1/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("https://h/openai?api-version=1", "https://h/openai/chat/completions?api-version=1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1/chat/completions"),
    ],
)
def test_a_base_url_may_end_in_the_usual_ways(given: str, endpoint: str) -> None:
    assert endpoint_of(given, endpoint="/chat/completions", version="/v1") == endpoint


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("https://h", "https://h/v1/messages"),
        ("https://h/v1", "https://h/v1/messages"),
        ("https://h/gate", "https://h/gate/v1/messages"),
        ("https://h/gate/v1/messages", "https://h/gate/v1/messages"),
    ],
)
def test_an_endpoint_with_its_version_is_added_as_far_as_it_is_not_there(
    given: str, endpoint: str
) -> None:
    assert endpoint_of(given, endpoint="/v1/messages", version="") == endpoint


def test_what_an_endpoint_asks_stands_beside_what_a_base_url_asks() -> None:
    url = endpoint_of("https://h?key=1", endpoint="/v1beta/m:stream?alt=sse", version="")
    assert url == "https://h/v1beta/m:stream?key=1&alt=sse"


@pytest.mark.parametrize("given", ["localhost:11434", "", "ftp://h/v1", "http://", "http://h:x/"])
def test_what_is_no_http_address_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InvalidParams, match=r"base_url: .*localhost:11434/v1"):
        HttpLlm(given)


def test_a_base_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidParams) as caught:
        HttpLlm("https://me:hunter2@h/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-é", "sk-1\nsk-2", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        HttpLlm(HERE, api_key=key)
    assert "sk-" not in str(caught.value)
