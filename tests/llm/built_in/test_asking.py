"""A request in the words of the Prompt API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meerkat_mob.core.json_schema import JsonSchema
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import Message, SystemMessage, SystemNotice
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.built_in.asking import asked
from meerkat_mob.llm.written import GO_ON
from tests.llm.kit import asking, results, said, use, user
from tests.strategies import messages as any_message

CITY: dict[str, Json] = {"type": "object", "properties": {"city": {"type": "string"}}}


def conversation(*messages: Message, tools: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    call = asked(asking(*messages, tools=tools))
    return [*((one.role, one.content) for one in call.before), ("now", call.now)]


def test_a_conversation_without_tools_is_told_in_words() -> None:
    assert conversation(
        SystemMessage(content="Be kind."),
        user("Hello"),
        user("there"),
        said("I look.", use("c1", "look", at=1)),
        results({"c1": "a cat"}),
        said("A cat."),
        user("Thanks"),
    ) == [
        ("system", "Be kind."),
        ("user", "Hello\n\nthere"),
        ("assistant", "I look.\n[called look]"),
        ("user", "[look answered]\na cat"),
        ("assistant", "A cat."),
        ("now", "Thanks"),
    ]


def test_with_tools_earlier_answers_have_the_form_that_the_next_one_is_to_have() -> None:
    told = conversation(
        user("Look"),
        said("I look.", use("c1", "look", at=1)),
        results({"c1": "x"}),
        tools=("look",),
    )
    assert told[1:] == [
        ("user", "Look"),
        ("assistant", '{"say":"I look.","calls":[{"name":"look","arguments":{"at":1}}]}'),
        ("now", "[look answered]\nx"),
    ]
    role, prompt = told[0]
    assert role == "system"
    assert '- look: does look\n  {"type":"object"}' in prompt


def test_a_result_that_is_a_failure_is_told_as_one() -> None:
    told = conversation(said("", use("c", "look")), results({"c": "gone"}, is_error=True))
    assert told[-1] == ("now", "[look failed]\ngone")


def test_the_notes_of_a_run_are_part_of_the_prompt() -> None:
    request = replace(asking(SystemMessage(content="Be kind."), "Hi"), system_context="It is May.")
    (system,) = asked(request).before
    assert system.content.startswith("Be kind.")
    assert system.content.endswith("It is May.")


@pytest.mark.parametrize("last", [said("Done."), SystemMessage(content="x")])
def test_the_model_is_always_spoken_to_last(last: Message) -> None:
    told = conversation(user("Hi"), said("Hello."), last)
    assert told[-1][0] == "now"
    assert told[-1][1] in {GO_ON, "x"}
    assert conversation() == [("now", GO_ON)]


@given(st.lists(any_message, max_size=12), st.booleans())
def test_any_transcript_is_one_that_the_api_takes(
    messages: list[Message], with_tools: bool
) -> None:
    call = asked(asking(*messages, tools=("look",) if with_tools else ()))
    roles = [one.role for one in call.before]
    assert "system" not in roles[1:]  # anywhere else it is a TypeError
    talk = [role for role in roles if role != "system"]
    assert all(a != b for a, b in pairwise(talk) if "user" in {a, b})
    assert not talk or talk[-1] == "assistant"  # what is said now is the user's


def test_an_answer_is_held_to_the_form_that_was_asked_for() -> None:
    request = replace(asking("Where?"), output=OutputSchema(schema=CITY))
    assert asked(request).form == CITY
    assert asked(asking("Where?")).form is None


def test_with_tools_it_is_held_to_words_and_calls() -> None:
    form = asked(asking("Look", tools=("look", "hear"))).form
    assert form is not None
    schema = JsonSchema(form, path="form")
    assert schema.fault({"say": "", "calls": [{"name": "hear", "arguments": {}}]}) is None
    assert form["required"] == ["say", "calls"]


BAD: tuple[Mapping[str, Json], ...] = (
    {"say": ""},
    {"calls": []},
    {"say": "", "calls": [{"name": "fly", "arguments": {}}]},
    {"say": "", "calls": [{"name": "look"}]},
    {"say": "", "calls": [], "more": 1},
)


@pytest.mark.parametrize("bad", BAD)
def test_nothing_else_has_that_form(bad: JsonObject) -> None:
    form = asked(asking("Look", tools=("look", "hear"))).form
    assert form is not None
    assert JsonSchema(form, path="form").fault(bad) is not None


def test_arguments_are_held_to_their_tool_s_schema_unless_it_points_into_itself() -> None:
    pointing: dict[str, Json] = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
    tools = (
        ToolDef(name="where", description="", input_schema=CITY),
        ToolDef(name="tree", description="", input_schema=pointing),
    )
    form: dict[str, Any] = json.loads(json.dumps(asked(replace(asking("Go"), tools=tools)).form))
    where, tree = form["properties"]["calls"]["items"]["anyOf"]
    assert where["properties"]["arguments"] == CITY
    assert tree["properties"]["arguments"] == {"type": "object"}


def test_options_of_the_profile_go_along_and_what_is_ours_does_not() -> None:
    request = replace(asking("Hi"), provider_params={"topK": 3, "gone": None})
    assert asked(request).options == {"topK": 3}
    taking = replace(asking("Hi"), provider_params={"tools": [], "signal": 1})
    with pytest.raises(LlmFailed, match=r"provider_params sets 'signal', 'tools'; leave it out"):
        asked(taking)


def test_a_notice_of_the_runtime_is_the_user_s() -> None:
    call = asked(asking(SystemNotice(kind="background_job", body="a job ended")))
    assert call.before == ()
    assert "a job ended" in call.now
