"""An answer with calls in it, whatever the pieces, and whatever the model makes of the form."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meerkat_mob.llm import LlmDone, LlmEvent, LlmTextDelta, LlmToolCallComplete
from meerkat_mob.llm.built_in.answering import Answering


def read(*pieces: str) -> list[LlmEvent]:
    answering = Answering(salt="7")
    events = [event for piece in pieces for event in answering.feed(piece)]
    return [*events, *answering.finish()]


def told(events: list[LlmEvent]) -> tuple[str, list[tuple[str, str]], str | None]:
    text = "".join(event.delta for event in events if isinstance(event, LlmTextDelta))
    calls = [(e.name, e.args) for e in events if isinstance(e, LlmToolCallComplete)]
    (end,) = (event for event in events if isinstance(event, LlmDone))
    assert events[-1] is end
    return text, calls, end.stop_reason


def split(text: str, places: list[int]) -> list[str]:
    cuts = sorted({place % (len(text) + 1) for place in places})
    ends = [*cuts, len(text)]
    return [text[a:b] for a, b in zip([0, *cuts], ends, strict=True)]


any_text = st.text(st.characters(exclude_categories=["Cs"]))
places = st.lists(st.integers(0, 400), max_size=12)


@given(
    say=any_text,
    calls=st.lists(st.tuples(any_text, st.dictionaries(any_text, st.integers())), max_size=3),
    places=places,
    is_ascii=st.booleans(),
)
@example(say='a"\\n\n\U0001f600é', calls=[], places=list(range(60)), is_ascii=True)
@example(say="\\u1234\\", calls=[], places=list(range(60)), is_ascii=False)
def test_any_answer_comes_whole_whatever_its_pieces(
    say: str, calls: list[tuple[str, dict[str, int]]], places: list[int], is_ascii: bool
) -> None:
    wanted = [{"name": name, "arguments": args} for name, args in calls]
    raw = json.dumps({"say": say, "calls": wanted}, ensure_ascii=is_ascii)
    text, found, stop = told(read(*split(raw, places)))
    assert text == say
    assert [(name, json.loads(args)) for name, args in found] == calls
    assert stop == ("tool_use" if calls else "end_turn")


def test_words_are_shown_as_they_come_and_never_half_a_sign() -> None:
    answering = Answering(salt="0")
    pieces = ['{"sa', 'y": "One, ', "two\\", "n\\ud83d", "\\ude00 three", '", "calls": []}']
    shown = [[getattr(e, "delta", e) for e in answering.feed(piece)] for piece in pieces]
    assert shown == [[], ["One, "], ["two"], ["\n"], ["\U0001f600 three"], []]
    assert list(answering.finish()) == [LlmDone(stop_reason="end_turn")]


@given(text=any_text, places=places)
@example(text='{"city": "Bern"}', places=[3])
@example(text='{"say": 7}', places=[])
@example(text='{"calls": [{"no": "name"}]}', places=[])
@example(text="{ what?", places=[1, 2])
@example(text="[1, 2]", places=[])
@example(text="[" * 5000, places=[])
def test_what_is_in_no_such_form_is_text(text: str, places: list[int]) -> None:
    assert told(read(*split(text, places))) == (text, [], "end_turn")


@pytest.mark.parametrize("order", [("calls", "say"), ("say", "calls")])
def test_the_order_does_not_matter(order: tuple[str, ...]) -> None:
    parts = {"say": "Look.", "calls": [{"name": "look", "arguments": {"at": 1}}]}
    raw = json.dumps({name: parts[name] for name in order})
    assert told(read(raw)) == ("Look.", [("look", '{"at": 1}')], "tool_use")


def test_calls_without_a_word_and_without_arguments_are_calls() -> None:
    assert told(read('{"calls": [{"name": "look"}]}')) == ("", [("look", "{}")], "tool_use")


def test_calls_have_ids_of_their_own() -> None:
    events = read('{"say": "", "calls": [{"name": "a"}, {"name": "a"}]}')
    ids = [event.id for event in events if isinstance(event, LlmToolCallComplete)]
    assert ids == ["call_7_1", "call_7_2"]


@pytest.mark.parametrize(
    "end", ['"', '", "calls": [', '", "calls": [{"name": "look", "arg', "\\u12"]
)
def test_an_answer_cut_off_in_the_middle_calls_nothing_half(end: str) -> None:
    assert told(read('{"say": "I will lo' + end)) == ("I will lo", [], "max_tokens")


def test_a_line_break_that_json_does_not_allow_is_taken() -> None:
    assert told(read('{"say": "a\nb", "calls": []}')) == ("a\nb", [], "end_turn")


def test_half_a_sign_is_no_text() -> None:
    text, _, stop = told(read('{"say": "a \\ud83d b", "calls": []}'))
    assert (text, stop) == ("a \N{REPLACEMENT CHARACTER} b", "end_turn")
