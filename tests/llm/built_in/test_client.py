"""The browser's model as a client, on every target, with somebody who speaks in its place."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from meerkat_mob import _target
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidParams, LlmFailed
from meerkat_mob.llm import BUILT_IN, LlmTextDelta, choose, open_client
from meerkat_mob.llm.built_in import BuiltInLlm
from meerkat_mob.llm.built_in.asking import Asked
from meerkat_mob.llm.built_in.failures import Fault, absent, failure, unavailable
from meerkat_mob.mob import open_realm, spawn_team
from meerkat_mob.mob.definition import parse_definition
from tests.llm.kit import answer_of, asking, calls_in, failure_of, text_in

TEAM = """
[mob]
id = "pair"
orchestrator = "lead"
[profiles.lead]
model = "built-in"
tools = { comms = true }
[profiles.worker]
model = "built-in"
tools = { comms = true }
[wiring]
auto_wire_orchestrator = true
"""


def speaking(
    *pieces: str | Usage, heard: list[Asked] | None = None
) -> Callable[[Asked], AsyncGenerator[str | Usage, None]]:
    async def speak(question: Asked) -> AsyncGenerator[str | Usage, None]:
        if heard is not None:
            heard.append(question)
        for piece in pieces:
            yield piece

    return speak


async def test_an_answer_in_words_comes_in_its_pieces_with_what_it_took() -> None:
    usage = Usage(input_tokens=5, output_tokens=2)
    client = BuiltInLlm(speaking("Hello ", "you", usage))
    answer = await answer_of(client, asking("Hi"))
    assert (text_in(answer), answer.stop_reason, answer.usage) == ("Hello you", "end_turn", usage)


async def test_what_is_not_known_of_its_use_is_unknown() -> None:
    assert (await answer_of(BuiltInLlm(speaking("Hello")), asking("Hi"))).usage is None


async def test_with_tools_its_answer_is_read_for_calls() -> None:
    said = '{"say": "I look.", "calls": [{"name": "look", "arguments": {"at": 1}}]}'
    answer = await answer_of(BuiltInLlm(speaking(*said)), asking("Hi", tools=("look",)))
    assert (text_in(answer), answer.stop_reason) == ("I look.", "tool_use")
    assert calls_in(answer) == [("look", '{"at":1}')]
    plain = await answer_of(BuiltInLlm(speaking(said)), asking("Hi"))
    assert text_in(plain) == said


async def test_a_failure_is_how_the_call_ends() -> None:
    async def speak(_: Asked) -> AsyncGenerator[str | Usage, None]:
        yield "He"
        raise absent()

    failed = await failure_of(BuiltInLlm(speak), asking("Hi"))
    assert failed.provider == "built-in"
    assert "offers no model of its own" in str(failed)


async def test_who_leaves_early_is_heard() -> None:
    left: list[str] = []

    async def speak(_: Asked) -> AsyncGenerator[str | Usage, None]:
        try:
            yield "one"
            yield "two"
        finally:
            left.append("left")

    async with aclosing(BuiltInLlm(speak).stream(asking("Hi"))) as events:
        assert await anext(events) == LlmTextDelta(delta="one")
    assert left == ["left"]


async def test_a_team_talks_through_it() -> None:
    heard: list[Asked] = []

    async def speak(question: Asked) -> AsyncGenerator[str | Usage, None]:
        heard.append(question)
        yield json.dumps(_next(question))

    def _next(question: Asked) -> dict[str, object]:
        def send(to: str, body: str) -> dict[str, object]:
            arguments = {"to": f"pair/{to}/{to}", "body": body}
            return {"say": "", "calls": [{"name": "send_message", "arguments": arguments}]}

        if "COMMS MESSAGE from pair/lead" in question.now:
            return send("lead", "It is done.")
        if "COMMS MESSAGE from pair/worker" in question.now:
            return {"say": "The team says: done.", "calls": []}
        if "send_message answered" in question.now:
            return {"say": "I wait.", "calls": []}
        return send("worker", "Please do it.")

    async with open_realm(llm=BuiltInLlm(speak)) as realm:
        mob = await realm.create_mob(parse_definition(TEAM))
        await spawn_team(mob)
        assert await mob.member("lead").ask("Do it") == "The team says: done."
    assert all(question.form is not None for question in heard)


# -- who answers -------------------------------------------------------------------------------


def test_in_a_browser_it_needs_neither_key_nor_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target, "IN_BROWSER", True)
    choice = choose(BUILT_IN, env={"OPENAI_API_KEY": "k"})
    assert (choice.dialect, choice.base_url, choice.api_key) == ("built-in", "", None)
    assert isinstance(open_client(choice), BuiltInLlm)


def test_elsewhere_it_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target, "IN_BROWSER", False)
    with pytest.raises(LlmFailed, match="in browsers alone; open the team in the page"):
        choose(BUILT_IN)


def test_it_asks_no_server() -> None:
    with pytest.raises(InvalidParams, match="'built-in' asks no server"):
        choose(BUILT_IN, base_url="http://localhost:1/v1")


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason", "retryable"),
    [
        ("QuotaExceededError", "context_exceeded", False),
        ("NotAllowedError", "provider_error", False),
        ("NotSupportedError", "provider_error", False),
        ("NetworkError", "provider_error", True),
        ("AbortError", "provider_error", True),
        ("InvalidStateError", "provider_error", True),
        ("OperationError", "provider_error", True),
        ("UnknownError", "provider_error", True),
        ("NotReadableError", "provider_error", False),
        ("TypeError", "provider_error", False),
    ],
)
def test_what_the_browser_throws_has_a_reason_and_a_way_out(
    name: str, reason: str, retryable: bool
) -> None:
    failed = failure(Fault(name=name, message="it said so"))
    assert (failed.reason, failed.retryable, failed.provider) == (reason, retryable, "built-in")
    assert name == "QuotaExceededError" or "it said so" in failed.detail
    assert failed.hint


def test_a_quota_is_told_in_tokens() -> None:
    failed = failure(Fault(name="QuotaExceededError", requested=12_000.0, quota=9216.0))
    assert "12000 tokens, of 9216" in failed.detail


def test_no_model_and_none_that_runs_here_are_two_things() -> None:
    assert absent().reason == unavailable().reason == "invalid_model"
    assert "does not run here" in unavailable().detail
