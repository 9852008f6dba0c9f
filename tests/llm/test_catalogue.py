"""What is known of models: ours, a user's own file, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.errors import DefinitionInvalid, DefinitionUnreadable, InvalidParams, LlmKeyMissing
from meerkat_mob.llm import (
    LlmClient,
    ModelFacts,
    ModelServer,
    ScriptedLlm,
    adapted,
    choose,
    known,
    load_catalogue,
    parse_catalogue,
)
from meerkat_mob.llm.anthropic.request import has_forms
from tests.llm.kit import asking, events_of

FILE = """
[servers.desk]
base_url = "http://localhost:11434"

[servers.rack]
base_url = "https://rack.example/v1"
dialect = "responses"
key = "RACK_KEY"

[models.small]
server = "desk"
name = "qwen3:8b"
context_window = 40_960
vision = false
structured_output = false

[models."big-*"]
server = "rack"

[models."gpt-5*"]
price = { input = 1.25, output = 10, source = "https://prices.example", date = "2026-11-01" }
"""


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("gpt-5.2", 400_000),
        ("GPT-4.1-mini", 1_047_576),
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-opus-5-5", 1_000_000),
        ("gemini-3-pro", 1_048_576),
        ("llama3.2", None),
        ("scripted", None),
    ],
)
def test_a_name_tells_the_size_of_a_window(model: str, size: int | None) -> None:
    assert known().window_of(model) == size


def test_a_history_is_compacted_at_four_fifths_of_it() -> None:
    assert CompactionPolicy().threshold(400_000) == 320_000
    assert CompactionPolicy().threshold(None) == 100_000
    assert CompactionPolicy(window_tokens=1000).threshold(400_000) == 800


def test_no_price_is_known_here_and_every_price_has_a_source_and_its_day() -> None:
    assert [name for name, facts in known().models.items() if facts.price is not UNSET] == []
    price = parse_catalogue(FILE).facts("gpt-5-mini").price
    assert price is not UNSET
    assert (price.input, price.currency, price.date) == (1.25, "USD", "2026-11-01")
    with pytest.raises(DefinitionInvalid, match=r"models.m.price.source: missing_field"):
        parse_catalogue('[models.m]\nprice = { input = 1, output = 2, date = "2026-11-01" }')


@pytest.mark.parametrize(
    "model",
    [
        "claude-3-5-sonnet-20241022",
        "claude-3-7-sonnet-latest",
        "claude-haiku-4-5",
        "claude-opus-4",
        "claude-opus-4-0",
        "claude-opus-4-1",
        "claude-opus-4-20250514",
        "claude-opus-4-5",
        "claude-opus-4-6",
        "claude-sonnet-4",
        "claude-sonnet-4-0",
        "claude-sonnet-4-20250514",
        "claude-sonnet-4-5-20250929",
        "claude-opus-5",
        "claude-sonnet-5-1",
    ],
)
def test_the_catalogue_and_the_client_agree_on_who_has_forms(model: str) -> None:
    assert known().facts(model).structured_output is has_forms(model)


def test_a_file_adds_to_what_is_known_and_leaves_the_rest() -> None:
    models = parse_catalogue(FILE)
    assert models.facts("gpt-5.2").context_window == 400_000
    assert models.facts("small").context_window == 40_960
    assert models.facts("big-7b").server == "rack"
    assert models.facts("nobody-s") == ModelFacts()
    assert models.servers["desk"] == ModelServer(base_url="http://localhost:11434")


def test_what_a_longer_name_says_wins() -> None:
    models = parse_catalogue(
        '[models."a*"]\ncontext_window = 1\nvision = true\n'
        '[models."a-b*"]\ncontext_window = 2\n[models."a-b-c"]\ncontext_window = 3\n'
    )
    assert [models.window_of(name) for name in ("a", "a-b", "A-B-C", "a-b-c-d")] == [1, 2, 3, 2]
    assert models.facts("a-b-c").vision is True


def test_a_model_of_the_file_is_asked_at_its_server() -> None:
    models = parse_catalogue(FILE)
    desk = choose("small", models=models, env={"OPENAI_API_KEY": "of another"})
    assert (desk.base_url, desk.dialect, desk.api_key) == ("http://localhost:11434", "chat", None)
    rack = choose("big-7b", models=models, env={"RACK_KEY": "k"})
    assert (rack.dialect, rack.api_key, rack.key_variables) == ("responses", "k", ("RACK_KEY",))
    assert choose("gpt-5.2", server="desk", models=models).base_url == desk.base_url
    assert choose("small", base_url="http://h", models=models).base_url == "http://h"


def test_a_server_s_own_key_is_named_where_it_is_missing() -> None:
    with pytest.raises(LlmKeyMissing, match="set RACK_KEY"):
        choose("big-7b", models=parse_catalogue(FILE), env={"OPENAI_API_KEY": "k"})


def test_an_unknown_server_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        InvalidParams, match=r"no server named 'attic' is known; there is desk, rac"
    ):
        choose("m", server="attic", models=parse_catalogue(FILE))


def test_a_url_that_a_team_names_gets_no_key() -> None:
    env = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a"}
    for model, url, dialect in (
        ("gpt-5", "http://h", "chat"),
        ("claude-5", "https://evil.example/v1/messages", "anthropic"),
        ("m", "https://api.openai.com/v1", "responses"),
    ):
        choice = choose(model, server=url, api_key="given", env=env)
        assert (choice.base_url, choice.dialect, choice.api_key) == (url, dialect, None)


def test_a_provider_that_is_said_wins_over_the_name() -> None:
    choice = choose("my-tune", provider="anthropic", env={"ANTHROPIC_API_KEY": "a"})
    assert (choice.provider, choice.dialect, choice.api_key) == ("anthropic", "anthropic", "a")


async def test_a_model_is_asked_by_its_server_s_name_and_without_a_form_it_has_not() -> None:
    llm = ScriptedLlm(["x", "y"])
    form = OutputSchema(schema={"type": "object"})
    client: LlmClient = adapted(llm, parse_catalogue(FILE).facts("small"))
    await events_of(client.stream(replace(asking("hi", model="small"), output=form)))
    client = adapted(llm, known().facts("gpt-5"))
    await events_of(client.stream(replace(asking("hi", model="gpt-5"), output=form)))
    assert [(one.model, one.output) for one in llm.requests] == [
        ("qwen3:8b", None),
        ("gpt-5", form),
    ]
    assert client is llm


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.x", "invalid_syntax"),
        ("[models.x]\nwindow = 1", "models.x.window: unknown_field"),
        ("[models.x]\ncontext_window = 0", "models.x.context_window: invalid_value"),
        ('[models.x]\nserver = "desk"', "models.x.server: unknown_server"),
        ('[models."a*b"]\nvision = true', "models.a*b: invalid_value"),
        ('[models."*"]\nvision = true', "models.*: invalid_value"),
        ('[models."a*"]\nname = "b"', "models.a*.name: invalid_value"),
        ('[servers.x]\nbase_url = "desk"', "servers.x.base_url: invalid_value"),
        ('[servers.x]\nbase_url = "http://h"\ndialect = "x"', "servers.x.dialect: invalid_value"),
    ],
)
def test_each_fault_of_a_file_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_catalogue(text, source="mine.toml")
    assert told in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_a_file_is_read_or_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(FILE)
    assert load_catalogue(tmp_path / "models.toml") == parse_catalogue(FILE)
    with pytest.raises(DefinitionUnreadable, match=r"none\.toml"):
        load_catalogue(tmp_path / "none.toml")
