"""The scripted model: says its lines, and lets nothing go by unnoticed."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from meerkat_mob.core.messages import Message, SystemMessage, SystemNotice
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidParams, LlmFailed, ScriptError
from meerkat_mob.llm import LlmRequest, LlmTextDelta, LlmToolCallComplete
from meerkat_mob.llm.lines import Entry
from meerkat_mob.testing import (
    Reply,
    Script,
    ScriptedLlm,
    a_service,
    a_session,
    a_turn,
    asked,
    call,
    fail,
    hang,
    say,
    think,
    when,
)
from tests.llm.kit import (
    answer_of,
    asking,
    calls_in,
    events_of,
    failure_of,
    results,
    said,
    text_in,
    use,
    user,
)


async def test_lines_are_spoken_in_order() -> None:
    with ScriptedLlm(["one", say("two")]) as llm:
        assert [text_in(await answer_of(llm, asking("hi"))) for _ in range(2)] == ["one", "two"]
        assert [len(request.messages) for request in llm.requests] == [1, 1]


async def test_text_streams_word_by_word() -> None:
    llm = ScriptedLlm([" two  words\n"])
    events = await events_of(llm.stream(asking("hi")))
    assert [e.delta for e in events if isinstance(e, LlmTextDelta)] == [" ", "two  ", "words\n"]


async def test_a_long_text_streams_in_phrases_unless_it_is_paced() -> None:
    text = " ".join(f"word{n}" for n in range(200)) + "\n"
    events = await events_of(ScriptedLlm([text]).stream(asking("hi")))
    phrases = [e.delta for e in events if isinstance(e, LlmTextDelta)]
    assert "".join(phrases) == text
    assert all(phrase.endswith((" ", "\n")) for phrase in phrases)
    assert len(phrases) == 6
    assert all(256 <= len(phrase) < 280 for phrase in phrases[:-1])


@pytest.mark.virtual_only
async def test_a_long_text_with_a_pace_streams_word_by_word() -> None:
    events = await events_of(ScriptedLlm([say("word " * 200, pace=1)]).stream(asking("hi")))
    assert sum(isinstance(e, LlmTextDelta) for e in events) == 200


async def test_a_text_and_two_calls_can_be_one_answer() -> None:
    llm = ScriptedLlm([say("I ask") & call("f", b=1, a=[]) & call("g"), call("f")])
    answer = await answer_of(llm, asking("hi"))
    assert (text_in(answer), calls_in(answer)) == ("I ask", [("f", '{"a":[],"b":1}'), ("g", "{}")])
    assert answer.stop_reason == "tool_use"
    more = await events_of(llm.stream(asking("hi")))
    assert [e.id for e in more if isinstance(e, LlmToolCallComplete)] == ["call-3"]


def test_an_error_inside_the_block_is_not_hidden_by_unspoken_lines() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedLlm(["never"]):
        _ = 1 // 0


# -- whose lines -------------------------------------------------------------------------------


async def test_lines_belong_to_a_full_name_a_member_a_profile_a_model_or_anybody() -> None:
    names = ("m/dev/a", "a", "dev", "small", "")
    llm = ScriptedLlm({name: [f"for {name}"] for name in names})
    asked_by_a = asking("hi", speaker="m/dev/a", model="small")
    spoken = [text_in(await answer_of(llm, asked_by_a)) for _ in names]
    assert spoken == [f"for {name}" for name in names]
    llm.assert_spent()


async def test_each_asks_for_its_own_lines() -> None:
    script: Script = {"b": "member", "dev": "profile", "small": "model", "": "anybody"}
    who = (("m/p/c", "large"), ("", "small"), ("m/p/b", ""), ("m/dev/d", ""))
    with ScriptedLlm(script) as llm:
        spoken = [
            text_in(await answer_of(llm, asking("hi", speaker=speaker, model=model)))
            for speaker, model in who
        ]
    assert spoken == ["anybody", "model", "member", "profile"]


async def test_an_agent_without_a_name_has_no_lines_of_a_member() -> None:
    llm = ScriptedLlm({"some-model": ["model"], "": ["anybody"]})
    assert [text_in(await answer_of(llm, asking("hi"))) for _ in range(2)] == ["model", "anybody"]


@pytest.mark.parametrize("line", ["hi there", say("hi there"), when("hi", "hi there")])
async def test_a_single_line_is_a_script(line: Entry) -> None:
    for script in (line, {"": line}):
        llm = ScriptedLlm(script)
        assert text_in(await answer_of(llm, asking("hi"))) == "hi there"
        llm.assert_spent()
        assert isinstance(await failure_of(llm, asking("hi")), ScriptError)


# -- functions ---------------------------------------------------------------------------------


async def test_a_function_may_answer_from_the_request() -> None:
    def echo(request: LlmRequest) -> str:
        return f"{len(request.messages)} messages"

    llm = ScriptedLlm({"a": echo, "b": ["line"]})
    for _ in range(2):
        assert text_in(await answer_of(llm, asking("x", "y", speaker="m/p/a"))) == "2 messages"
    assert text_in(await answer_of(llm, asking("x", speaker="m/p/b"))) == "line"
    llm.assert_spent()
    assert text_in(await answer_of(ScriptedLlm(echo), asking())) == "0 messages"


async def test_a_function_among_lines_is_one_line() -> None:
    with ScriptedLlm(["one", lambda request: f"you said {asked(request)}", "three"]) as llm:
        spoken = [text_in(await answer_of(llm, asking(text))) for text in "abc"]
    assert spoken == ["one", "you said b", "three"]


async def test_a_function_may_fail_on_purpose() -> None:
    wanted = LlmFailed(provider="p", reason="auth_error", detail="no", hint="none")

    def refuse(_: LlmRequest) -> Reply:
        raise wanted

    with ScriptedLlm(refuse) as llm:
        assert await failure_of(llm, asking("hi")) is wanted


def breaks(_: LlmRequest) -> str:
    raise ZeroDivisionError("by design")


def forgets(_: LlmRequest) -> Any:
    """No answer."""


BROKEN: list[Script] = [
    breaks,
    [breaks],
    [when("hi", breaks)],
    when(breaks, "never"),
    forgets,
]


@pytest.mark.parametrize("script", BROKEN)
async def test_a_function_that_breaks_is_an_error_then_and_at_the_end(script: Script) -> None:
    llm = ScriptedLlm(script)
    error = await failure_of(llm, asking("hi", speaker="m/p/a"))
    assert isinstance(error, ScriptError)
    assert isinstance(error.__cause__, (ZeroDivisionError, TypeError))
    assert repr(error.__cause__) in error.detail
    with pytest.raises(ScriptError, match="a function of the script broke for m/p/a"):
        llm.assert_spent()


# -- lines that wait ---------------------------------------------------------------------------


async def test_the_first_line_that_fits_is_spoken() -> None:
    script: Script = [
        when("^two$", "TWO"),
        when(lambda r: r.max_tokens < 10, "short"),
        "any",
        "2nd",
    ]
    with ScriptedLlm(script) as llm:
        few = msgspec.structs.replace(asking("one"), max_tokens=9)
        requests = (asking("one two"), asking("one\ntwo"), asking("two"), few)
        spoken = [text_in(await answer_of(llm, request)) for request in requests]
    assert spoken == ["any", "TWO", "2nd", "short"]


async def test_a_member_whose_lines_do_not_fit_goes_on_with_those_of_its_profile() -> None:
    llm = ScriptedLlm({"a": [when("x", "member")], "p": ["profile"]})
    assert text_in(await answer_of(llm, asking("y", speaker="m/p/a"))) == "profile"
    assert text_in(await answer_of(llm, asking("x", speaker="m/p/a"))) == "member"


async def test_a_line_that_fits_nothing_is_left() -> None:
    llm = ScriptedLlm([when("tested", say("ok") & call("f", n=1)), when(breaks, "never")])
    error = await failure_of(llm, asking("hi"))
    assert "a function of the script broke" in str(error)
    with pytest.raises(ScriptError) as caught:
        ScriptedLlm([when("tested", say("ok") & call("f", n=1)), when(bool, "ever")]).assert_spent()
    assert "script[0] when 'tested': 'ok' & f({\"n\":1})" in str(caught.value)
    assert "script[1] when the function bool: 'ever'" in str(caught.value)


def test_a_pattern_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidParams, match="no regular expression"):
        when("(", "never")


def test_asked_is_what_is_new_since_the_last_answer() -> None:
    news = user("[COMMS REQUEST from m/p/x]\nintent: mob.peer_added")
    first = asking(SystemMessage(content="Be brief."), news, "one", "two")
    assert asked(first) == "one\n\ntwo"
    answered = asking(*first.messages, said("", use("c", "f"), use("d", "g")))
    assert asked(answered) == ""
    after = asking(*answered.messages, results({"c": "found", "d": "lost"}), "and three")
    assert asked(after) == "found\n\nlost\n\nand three"
    assert asked(asking()) == ""


# -- complaints --------------------------------------------------------------------------------


async def test_a_call_without_a_line_is_an_error_then_and_at_the_end() -> None:
    llm = ScriptedLlm({"a": ["x", call("f")]})
    error = await failure_of(llm, asking("do it", speaker="m/p/b"))
    assert isinstance(error, ScriptError)
    assert not error.retryable
    assert "no line for m/p/b (model some-model), who was asked 'do it'" in error.detail
    assert "last messages: user 'do it'" in error.detail
    assert "lines left: a[0] 'x'; a[1] f({})" in error.detail
    for _ in range(2):
        await answer_of(llm, asking("x", speaker="m/p/a"))
    with pytest.raises(ScriptError, match="no line for m/p/b"):
        llm.assert_spent()


async def test_an_error_shows_the_last_messages_and_some_of_the_lines() -> None:
    history = (
        SystemMessage(content="Be brief."),
        user("long ago"),
        said("I look.", use("c", "f", n=1)),
        results({"c": "found " * 100}),
        SystemNotice(kind="generic", body="hurry"),
    )
    error = await failure_of(ScriptedLlm({"x": [str(n) for n in range(9)]}), asking(*history))
    assert "messages: assistant 'I look.' & f({\"n\":1}), then results 'found found" in error.detail
    assert "hurry" in error.detail
    assert "x[4] '4'; and 4 more" in error.detail
    assert "long ago" not in error.detail
    assert len(error.detail) < 600
    assert "no message; lines left: none" in str(await failure_of(ScriptedLlm([]), asking()))


def test_lines_never_spoken_are_shown_at_the_end() -> None:
    script: Script = {
        "a": ["hello", say() & call("f", x=1), think("hm") & say("ok"), breaks],
        "b": [say("half") & fail("busy"), hang(), say()],
    }
    with pytest.raises(ScriptError) as caught, ScriptedLlm(script):
        pass
    told = (
        "never spoken: a[0] 'hello'; a[1] f({\"x\":1}); a[2] thinking 'hm' & 'ok'; "
        "a[3] the function breaks; b[0] 'half' & error 'busy'; b[1] silence; b[2] ''"
    )
    assert told in str(caught.value)


async def test_everything_that_went_wrong_is_told_at_once() -> None:
    llm = ScriptedLlm({"a": "never"})
    await failure_of(llm, asking("hi"))
    with pytest.raises(ScriptError, match=r"no line for the agent .*; lines never spoken: a\[0\]"):
        llm.assert_spent()


# -- what was asked ----------------------------------------------------------------------------


async def test_requests_of_two_runs_can_be_compared() -> None:
    async def run_once(*tasks: str) -> ScriptedLlm:
        llm = ScriptedLlm(lambda _: "ok")
        service = a_service(llm)
        session = await a_session(service, system_prompt="Be brief.")
        for task in tasks:
            await service.start_turn(session, a_turn(task))
        await service.aclose()
        return llm

    one, two, other = [await run_once("one", last) for last in ("two", "two", "three")]
    assert one.requests == two.requests
    assert one.requests != other.requests
    assert one.requests[0] == other.requests[0]
    assert [asked(request) for request in other.requests] == ["one", "three"]
    assert [len(request.messages) for request in one.requests] == [2, 4]


# -- made-up usage ------------------------------------------------------------------------------


async def test_usage_is_four_characters_a_token_of_the_request_and_the_answer() -> None:
    llm = ScriptedLlm(["x" * 8, "x" * 9])
    first = asking("x" * 40)
    assert (await answer_of(llm, first)).usage == Usage(input_tokens=10, output_tokens=2)
    grown = asking(
        *first.messages, said("x" * 8), said("", use("c", "f")), results({"c": "x" * 10})
    )
    assert (await answer_of(llm, grown)).usage == Usage(input_tokens=15, output_tokens=3)


async def test_the_notes_of_a_run_are_shown_to_a_script_and_count() -> None:
    llm = ScriptedLlm(lambda request: request.system_prompt)
    request = LlmRequest(model="m", messages=(), system_context="x" * 8)
    answer = await answer_of(llm, request)
    assert (text_in(answer), answer.usage) == ("x" * 8, Usage(input_tokens=2, output_tokens=2))


async def test_transcripts_that_one_model_answers_in_turn_are_each_counted_once() -> None:
    class Counted(list[Message]):
        looks = 0

        def __getitem__(self, place: Any) -> Any:
            self.looks += 1
            return cast("Any", super()).__getitem__(place)

    llm = ScriptedLlm(lambda _: "ok")
    histories = [Counted([user(f"{name} {n}") for n in range(200)]) for name in ("ann", "bob")]
    for history in histories:
        await answer_of(llm, LlmRequest(model="m", messages=history))
        assert history.looks > 200
    for history in histories:
        history.looks = 0
        history.append(user("more"))
        await answer_of(llm, LlmRequest(model="m", messages=history))
        assert history.looks < 10


async def test_what_was_counted_is_not_counted_again_unless_history_was_rewritten() -> None:
    llm = ScriptedLlm(["", "", ""])
    first = asking("x" * 40, "y" * 4)
    await answer_of(llm, first)
    rewritten = await answer_of(llm, asking("x" * 4))
    assert rewritten.usage == Usage(input_tokens=1)
    other = await answer_of(llm, asking("z" * 4, "y" * 8))
    assert other.usage == Usage(input_tokens=3)
