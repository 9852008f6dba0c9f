"""An answer in a form: asked for, checked, asked for again, and given up (EXT-1 to EXT-4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from meerkat_mob.agent.extraction import Extraction
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.events import (
    HookStarted,
    RunCompleted,
    RunFailed,
    TurnCompleted,
    TurnStarted,
)
from meerkat_mob.core.hooks import Hook, HookCall, RunResultPatch
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.core.output_schema import OutputSchema, output_of
from meerkat_mob.core.run_context import NoSession
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidOutputSchema, StructuredOutputValidationFailed
from meerkat_mob.llm import LlmDone, LlmEvent, LlmRequest, ScriptedLlm, call, fail, hang, say
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.agent.kit import Bench, a_bench, open_calls


class Weather(msgspec.Struct):
    """How it is."""

    city: str
    degrees: int


FORM = output_of(Weather)
GOOD = '{"city":"Lima","degrees":20}'


def asked_for(
    llm: ScriptedLlm, *, output: OutputSchema = FORM, attempts: int = 2, **limits: object
) -> Bench:
    limits = {"output": output, "output_attempts": attempts, **limits}
    return a_bench(llm, a_tool_that_echoes(), limits=limits)


# -- what a model says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f" \n {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"  ```JSON\n\n  {GOOD}  \n\n```  \n",
        '{"Weather": ' + GOOD + "}",
        '```json\n{"Weather": ' + GOOD + "}\n```",
    ],
)
def test_fences_and_a_wrapper_of_its_own_name_are_taken_off(text: str) -> None:
    form = Extraction(OutputSchema(schema=_plain(Weather), name="Weather"), 1)
    assert form.take(text) is None
    assert form.value == {"city": "Lima", "degrees": 20}


def _plain(kind: type) -> Mapping[str, Json]:
    """A schema without references: what stands at its top is the type itself."""
    found: Mapping[str, Json] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return found


def test_a_wrapper_that_the_schema_declares_is_no_wrapper() -> None:
    schema: dict[str, Json] = {
        "title": "inner",
        "type": "object",
        "properties": {"inner": {"type": "object", "required": ["a"]}},
        "required": ["inner"],
    }
    form = Extraction(OutputSchema(schema=schema), 2)
    assert form.take('{"inner": {"inner": {"a": 1}}}') is not None
    assert form.take('{"inner": {"a": 1}}') is None
    assert form.value == {"inner": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It is warm.", "not JSON"),
        ("", "not JSON"),
        ('{"city":"Lima"}', "the field 'degrees' is missing"),
        ('{"city":"Lima","degrees":"20"}', "$.degrees: expected integer, and it is string"),
        ("[" * 5_000, "nested deeper"),
        ("{} and more", "not JSON"),
    ],
)
def test_what_does_not_fit_is_told_to_the_model(text: str, told: str) -> None:
    form = Extraction(FORM, 2)
    again = form.take(text)
    assert again is not None
    assert told in again
    with pytest.raises(StructuredOutputValidationFailed) as failure:
        form.take(text)
    assert told in failure.value.reason
    assert (failure.value.attempts, failure.value.last_output) == (2, text[:2_000])


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    form = Extraction(FORM, 2)
    assert form.take(text) is not None


def test_a_form_is_a_type_or_a_schema_or_refused() -> None:
    assert output_of(FORM) is FORM
    assert output_of({"type": "object"}, name="x") == OutputSchema(
        schema={"type": "object"}, name="x"
    )
    assert output_of(int).schema == {"type": "integer"}
    with pytest.raises(InvalidOutputSchema, match="take a type that msgspec can describe"):
        output_of(asyncio.Event)


# -- a run -----------------------------------------------------------------------------------------


async def test_a_run_answers_freely_and_then_in_the_form() -> None:
    llm = ScriptedLlm([call("echo", n=1), "Twenty degrees in Lima.", GOOD])
    bench = asked_for(llm, provider_params={"web_search": True, "seed": 7})
    result = await bench.agent.run("How is it in Lima?")
    assert result.structured_output == {"city": "Lima", "degrees": 20}
    assert msgspec.convert(result.structured_output, Weather) == Weather(city="Lima", degrees=20)
    assert (result.text, result.turns) == (GOOD, 3)
    first, _, last = llm.requests
    assert (first.output, last.output) == (None, FORM)
    assert ([t.name for t in first.tools], last.tools) == (["echo"], ())
    assert (first.temperature, last.temperature) == (None, 0.0)
    assert dict(last.provider_params) == {"seed": 7}
    prompt = text_of_message(bench.transcript.view()[-2])
    assert isinstance(bench.transcript.view()[-2], UserMessage)
    assert '"degrees"' in prompt
    assert [type(e) for e in bench.said if isinstance(e, TurnCompleted | TurnStarted)] == [
        TurnStarted,
        TurnStarted,
        TurnCompleted,
        TurnStarted,
        TurnCompleted,
    ]
    assert isinstance(bench.ends[0], RunCompleted)


async def test_a_second_attempt_may_mend_it_and_each_run_has_its_own() -> None:
    llm = ScriptedLlm(["a", "no", GOOD, "b", "no", GOOD])
    bench = asked_for(llm)
    for _ in range(2):
        assert (await bench.agent.run("go")).structured_output == {"city": "Lima", "degrees": 20}
    assert "That does not fit: this is not JSON" in text_of_message(llm.requests[2].messages[-1])


@pytest.mark.parametrize(("attempts", "made"), [(0, 1), (1, 1), (2, 2), (3, 3)])
async def test_so_many_attempts_and_no_more(attempts: int, made: int) -> None:
    llm = ScriptedLlm(["a", *["no"] * made])
    bench = asked_for(llm, attempts=attempts)
    with pytest.raises(StructuredOutputValidationFailed) as failure:
        await bench.agent.run("go")
    assert (failure.value.attempts, failure.value.last_output) == (made, "no")
    (end,) = bench.ends
    assert isinstance(end, RunFailed)
    assert end.code == "STRUCTURED_OUTPUT_VALIDATION_FAILED"
    llm.assert_spent()


async def test_a_run_that_is_cut_short_in_its_form_fails_and_before_it_does_not() -> None:
    bench = asked_for(ScriptedLlm(["a"]), max_turns=1)
    with pytest.raises(StructuredOutputValidationFailed, match="no more turns"):
        await bench.agent.run("go")
    used = say("a", usage=Usage(input_tokens=300, output_tokens=300))
    bench = asked_for(ScriptedLlm([used]), budget=BudgetLimits(max_tokens=800))
    with pytest.raises(StructuredOutputValidationFailed, match="the budget has no room"):
        await bench.agent.run("go")
    bench = asked_for(ScriptedLlm([call("echo")]), max_turns=1)
    assert (await bench.agent.run("go")).structured_output is msgspec.UNSET


async def test_an_answer_without_text_is_not_the_one_before() -> None:
    bench = asked_for(ScriptedLlm([GOOD, "", GOOD]))
    assert (await bench.agent.run("go")).turns == 3
    bench = asked_for(ScriptedLlm([GOOD, "", ""]))
    with pytest.raises(StructuredOutputValidationFailed) as failure:
        await bench.agent.run("go")
    assert failure.value.last_output == ""


async def test_a_tool_that_is_called_in_the_form_is_not_there() -> None:
    bench = asked_for(ScriptedLlm(["a", call("echo"), GOOD]))
    assert (await bench.agent.run("go")).structured_output == {"city": "Lima", "degrees": 20}
    assert "tool_not_found" in str(bench.results[0].content)
    assert open_calls(bench.transcript) == []


async def test_a_failure_in_the_form_is_retried_like_any_other() -> None:
    bench = asked_for(ScriptedLlm(["a", fail(retryable=True), GOOD]))
    assert (await bench.agent.run("go")).structured_output == {"city": "Lima", "degrees": 20}


async def test_hooks_are_asked_at_each_turn_and_a_rewritten_text_has_no_form() -> None:
    async def rewrite(told: HookCall) -> RunResultPatch:
        return RunResultPatch(text="mine")

    async def look(told: HookCall) -> None: ...

    hooks = (
        Hook(id="r", point="run_completed", run=rewrite, capability="rewrite"),
        Hook(id="b", point="turn_boundary", run=look),
    )
    bench = a_bench(["a", GOOD], hooks=hooks, limits={"output": FORM})
    result = await bench.agent.run("go")
    assert (result.text, result.structured_output) == ("mine", msgspec.UNSET)
    assert [e.hook_id for e in bench.said if isinstance(e, HookStarted)] == ["b", "b", "r"]


class Joining(NoSession):
    """Somebody says something while the run goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.transcript: Transcript | None = None
        self.joined = 0

    async def steer(self) -> bool:
        self.joined += 1
        if self.joined > 1 or self.transcript is None:
            return False
        self.transcript.push(UserMessage(content="and in Quito?"))
        return True


async def test_what_joins_the_run_is_answered_before_the_form_and_nothing_joins_in_it() -> None:
    session = Joining()
    llm = ScriptedLlm(["Twenty.", "Fifteen.", "no", GOOD])
    bench = a_bench(llm, context=session, limits={"output": FORM})
    session.transcript = bench.transcript
    await bench.agent.run("go")
    assert [request.output for request in llm.requests] == [None, None, FORM, FORM]
    assert session.joined == 2


async def test_an_interrupt_in_the_form_ends_the_run_as_everywhere() -> None:
    bench = asked_for(ScriptedLlm(["a", hang(), "b", GOOD]))
    run = asyncio.ensure_future(bench.agent.run("go"))
    for _ in range(20):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (await bench.agent.run("again")).structured_output == {"city": "Lima", "degrees": 20}


def test_a_schema_that_is_none_is_refused_when_the_agent_is_built() -> None:
    with pytest.raises(InvalidOutputSchema, match=r"output_schema\.type"):
        asked_for(ScriptedLlm([]), output=OutputSchema(schema={"type": "strin"}))


# -- what a provider does not hold its model to ---------------------------------------------------


class Lossy:
    """A provider that takes a form and passes over a word of it."""

    provider = "lossy"

    def __init__(self, *answers: str) -> None:
        self._llm = ScriptedLlm([*answers])

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        async with aclosing(self._llm.stream(request)) as events:
            async for event in events:
                if isinstance(event, LlmDone) and request.output is not None:
                    yield msgspec.structs.replace(event, unsaid=("minLength at #/properties/city",))
                else:
                    yield event

    async def aclose(self) -> None:
        """Nothing is held."""


async def test_what_its_provider_was_not_told_of_the_form_is_a_warning() -> None:
    bench = a_bench(Lossy("It is warm.", GOOD), limits={"output": FORM, "output_attempts": 2})
    result = await bench.agent.run("go")
    assert result.structured_output == {"city": "Lima", "degrees": 20}
    assert result.schema_warnings is not UNSET
    (told,) = result.schema_warnings
    assert told.startswith("minLength at #/properties/city: the provider did not hold its model")


async def test_a_form_that_its_provider_keeps_has_no_warnings() -> None:
    result = await asked_for(ScriptedLlm(["It is warm.", GOOD])).agent.run("go")
    assert result.schema_warnings is UNSET
