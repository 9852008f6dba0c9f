"""Who answers (design: who answers; spec sessions CLI-4), and which endpoint a base URL means."""

from __future__ import annotations

import pytest

from meerkat_mob.errors import CapabilityUnavailable, InvalidParams, LlmFailed, LlmKeyMissing
from meerkat_mob.llm import ClientChoice, OpenAiCompatible, PlainLlm, choose, open_client
from meerkat_mob.llm.base_url import chat_endpoint

HERE = "http://localhost:11434/v1"


def asked(provider: str, base_url: str, api_key: str | None = None) -> ClientChoice:
    return ClientChoice(
        dialect="openai_compatible", provider=provider, base_url=base_url, api_key=api_key
    )


def test_openais_models_are_asked_with_the_key_of_the_environment() -> None:
    env = {"OPENAI_API_KEY": "sk-1"}
    assert choose("gpt-5.2", env=env) == asked("openai", "https://api.openai.com/v1", "sk-1")


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


def test_a_missing_key_names_the_variables_the_flag_and_the_way_offline() -> None:
    with pytest.raises(LlmKeyMissing) as caught:
        choose("gpt-5.2", env={})
    for word in ("OPENAI_API_KEY", "RKAT_OPENAI_API_KEY", "--base-url", "--model scripted"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("model", "name"), [("claude-opus-4-6", "anthropic"), ("Gemini-3", "gemini")]
)
def test_a_dialect_we_do_not_speak_is_never_pretended(model: str, name: str) -> None:
    env = {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "OPENAI_API_KEY": "k"}
    with pytest.raises(CapabilityUnavailable) as caught:
        choose(model, env=env)
    for word in (model, name, "--base-url", "OPENAI_BASE_URL", "--model scripted"):
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
    assert isinstance(client, OpenAiCompatible)
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
    assert chat_endpoint(given) == endpoint


@pytest.mark.parametrize("given", ["localhost:11434", "", "ftp://h/v1", "http://", "http://h:x/"])
def test_what_is_no_http_address_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InvalidParams, match=r"base_url: .*localhost:11434/v1"):
        OpenAiCompatible(given)


def test_a_base_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidParams) as caught:
        chat_endpoint("https://me:hunter2@h/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-é", "sk-1\nsk-2", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        OpenAiCompatible(HERE, api_key=key)
    assert "sk-" not in str(caught.value)
