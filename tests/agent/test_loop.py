"""One run: what it pushes, what it says, in which order, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from meerkat_mob.agent import tool
from meerkat_mob.core.content import TextBlock
from meerkat_mob.core.events import (
    ReasoningComplete,
    ReasoningDelta,
    RunCompleted,
    RunFailed,
    RunStarted,
    TextComplete,
    TextDelta,
    ToolCallRequested,
    ToolExecutionCompleted,
    ToolExecutionTimedOut,
    ToolResultReceived,
    TurnCompleted,
    TurnStarted,
)
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Reasoning,
    TextData,
    UserMessage,
)
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import AgentError, InvalidParams, LlmFailed, NoPendingBoundary
from meerkat_mob.llm import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmUsage,
    call,
    fail,
    hang,
    say,
)
from meerkat_mob.testing.builders import (
    a_tool,
    a_tool_that_echoes,
    a_tool_that_fails,
    a_tool_that_hangs,
)
from tests.agent.kit import a_bench, in_loop_time, open_calls


class Fixed:
    """A client whose stream gives these events and then, if there is one, raises the error."""

    provider = "fixed"

    def __init__(self, *events: LlmEvent, error: Exception | None = None) -> None:
        self.events, self.error = events, error

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        for event in self.events:
            yield event
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        pass


# -- a plain answer ----------------------------------------------------------------------------


async def test_a_plain_answer_is_one_turn_in_this_order() -> None:
    bench = a_bench([say("two words", usage=Usage(input_tokens=1, output_tokens=2))])
    result = await bench.agent.run("hi")
    usage = Usage(input_tokens=1, output_tokens=2)
    assert (result.text, result.turns, result.tool_calls) == ("two words", 1, 0)
    assert result.usage == usage
    assert bench.said == [
        RunStarted(session_id="s", prompt="hi"),
        TurnStarted(turn_number=0),
        TextDelta(delta="two "),
        TextDelta(delta="words"),
        TextComplete(content="two words"),
        TurnCompleted(stop_reason="end_turn", usage=usage),
        RunCompleted(session_id="s", result="two words", usage=usage),
    ]
    answer = AssistantText(data=TextData(text="two words"))
    assert list(bench.transcript.view()) == [
        UserMessage(content="hi"),
        AssistantMessage(blocks=(answer,), stop_reason="end_turn"),
    ]


async def test_an_answer_without_text_says_no_text_complete() -> None:
    bench = a_bench([say("")])
    assert (await bench.agent.run("hi")).text == ""
    assert bench.kinds == ["run_started", "turn_started", "turn_completed", "run_completed"]


async def test_reasoning_is_shown_and_kept_and_is_not_the_answer() -> None:
    client = Fixed(
        LlmReasoningDelta(delta="let me "),
        LlmReasoningDelta(delta="see"),
        LlmReasoningComplete(text="let me see"),
        LlmTextDelta(delta="yes"),
        LlmDone(stop_reason="end_turn"),
    )
    bench = a_bench(client)
    assert (await bench.agent.run("?")).text == "yes"
    assert ReasoningDelta(delta="let me ") in bench.said
    assert ReasoningComplete(content="let me see") in bench.said
    thought = Reasoning(data=TextData(text="let me see"))
    answer = AssistantText(data=TextData(text="yes"))
    wanted = AssistantMessage(blocks=(thought, answer), stop_reason="end_turn")
    assert bench.transcript.view()[-1] == wanted


async def test_what_precedes_the_prompt_is_pushed_in_front_of_it_as_messages() -> None:
    bench = a_bench(["ok"])
    await bench.agent.run((TextBlock(text="do"),), preface=(UserMessage(content="news"),))
    assert [getattr(m, "content", None) for m in bench.transcript.view()][:2] == ["news", "do"]


# -- turns with tools --------------------------------------------------------------------------


async def test_a_turn_with_tools_says_this_and_no_turn_completed() -> None:
    bench = a_bench([say("looking") & call("echo", a=1), "done"], a_tool_that_echoes())
    result = await bench.agent.run("hi")
    assert (result.text, result.turns, result.tool_calls) == ("done", 2, 1)
    assert bench.kinds == [
        "run_started",
        "turn_started",
        "text_complete",
        "tool_call_requested",
        "tool_execution_started",
        "tool_execution_completed",
        "tool_result_received",
        "turn_started",
        "text_complete",
        "turn_completed",
        "run_completed",
    ]
    assert [e.turn_number for e in bench.said if isinstance(e, TurnStarted)] == [0, 1]
    done = next(e for e in bench.said if isinstance(e, ToolExecutionCompleted))
    assert (done.id, done.name, done.result, done.is_error) == ("call-1", "echo", '{"a":1}', False)


@pytest.mark.virtual_only
async def test_tools_of_one_turn_run_at_once_and_their_results_keep_the_order_of_the_calls() -> (
    None
):
    async def slow(one: ToolCall) -> ToolOutcome:
        await asyncio.sleep({"call-1": 3, "call-2": 1, "call-3": 2}[one.id])
        return ToolOutcome(content=one.id)

    three = call("slow") & call("slow") & call("slow")
    bench = a_bench([three, "done"], a_tool("slow", slow), clock=in_loop_time())
    began = asyncio.get_running_loop().time()
    await bench.agent.run("go")
    assert asyncio.get_running_loop().time() - began == 3
    assert [r.content for r in bench.results] == ["call-1", "call-2", "call-3"]
    completed = [e for e in bench.said if isinstance(e, ToolExecutionCompleted)]
    assert [(e.id, e.duration_ms) for e in completed] == [
        ("call-2", 1000),
        ("call-3", 2000),
        ("call-1", 3000),
    ]
    received = [e.id for e in bench.said if isinstance(e, ToolResultReceived)]
    assert received == ["call-1", "call-2", "call-3"]


async def test_one_failing_tool_hurts_neither_its_siblings_nor_the_run() -> None:
    both = call("fail") & call("echo", a=1) & call("nothing")
    tools = (a_tool_that_echoes(), a_tool_that_fails(RuntimeError("broken")))
    bench = a_bench([both, "done"], *tools)
    assert (await bench.agent.run("go")).text == "done"
    assert [r.is_error for r in bench.results] == [True, False, True]
    assert "broken" in str(bench.results[0].content)
    assert "there are: echo, fail" in str(bench.results[2].content)


async def test_a_tool_that_cancels_itself_ends_alone() -> None:
    async def give_up(one: ToolCall) -> ToolOutcome:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return ToolOutcome(content="never")

    both = call("give_up") & call("cancelled") & call("echo")
    tools = (
        a_tool("give_up", give_up),
        a_tool_that_fails(asyncio.CancelledError(), "cancelled"),
        a_tool_that_echoes(),
    )
    bench = a_bench([both, "done"], *tools)
    assert (await bench.agent.run("go")).text == "done"
    assert [r.is_error for r in bench.results] == [True, True, False]
    assert bench.kinds.count("tool_execution_completed") == 3
    assert open_calls(bench.transcript) == []


async def test_the_model_sees_exactly_the_tools_that_can_be_dispatched() -> None:
    """INV-8."""
    seen: list[tuple[str, ...]] = []

    class Curious(Fixed):
        async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
            seen.append(tuple(tool.name for tool in request.tools))
            async for event in super().stream(request):
                yield event

    client = Curious(LlmTextDelta(delta="ok"), LlmDone(stop_reason="end_turn"))
    bench = a_bench(client, a_tool_that_echoes("b"), a_tool_that_echoes("a"))
    await bench.agent.run("go")
    assert seen == [("b", "a")]


# -- limits ------------------------------------------------------------------------------------


async def test_no_turns_at_all_is_a_run_that_completes() -> None:
    bench = a_bench([], max_turns=0)
    result = await bench.agent.run("hi")
    assert (result.text, result.turns) == ("", 0)
    assert bench.kinds == ["run_started", "run_completed"]


async def test_a_run_ends_at_its_last_turn_with_what_there_is() -> None:
    script = [say("first") & call("echo"), say("never")]
    bench = a_bench(script, a_tool_that_echoes(), max_turns=1)
    result = await bench.agent.run("hi")
    assert (result.text, result.turns, result.tool_calls) == ("first", 1, 1)
    assert bench.kinds[-1] == "run_completed"
    assert "turn_completed" not in bench.kinds
    assert bench.transcript.has_pending_boundary


# -- continuing --------------------------------------------------------------------------------


async def test_a_run_may_continue_what_the_last_one_left_pending() -> None:
    bench = a_bench([call("echo"), say("done")], a_tool_that_echoes(), max_turns=1)
    await bench.agent.run("hi")
    pushed = len(bench.transcript)
    result = await bench.agent.run_pending()
    assert (result.text, len(bench.transcript)) == ("done", pushed + 1)
    starts = [e for e in bench.said if isinstance(e, RunStarted)]
    assert starts == [RunStarted(session_id="s", prompt="hi"), RunStarted(session_id="s")]


async def test_nothing_pending_is_refused_without_a_word() -> None:
    bench = a_bench(["one"])
    with pytest.raises(NoPendingBoundary):
        await bench.agent.run_pending()
    await bench.agent.run("hi")
    before = list(bench.said)
    with pytest.raises(NoPendingBoundary):
        await bench.agent.run_pending()
    assert bench.said == before


# -- failure -----------------------------------------------------------------------------------


async def test_a_failed_call_is_a_failed_run_with_the_error_s_code() -> None:
    bench = a_bench([fail("no room")])
    with pytest.raises(LlmFailed):
        await bench.agent.run("hi")
    assert bench.kinds == ["run_started", "turn_started", "run_failed"]
    assert [getattr(e, "code", "") for e in bench.ends] == ["PROVIDER_ERROR"]
    assert list(bench.transcript.view()) == [UserMessage(content="hi")]


@pytest.mark.parametrize(
    "events",
    [
        (),
        (LlmTextDelta(delta="half"),),
    ],
)
async def test_a_stream_without_an_end_is_a_failed_run(events: tuple[LlmEvent, ...]) -> None:
    bench = a_bench(Fixed(*events))
    with pytest.raises(LlmFailed, match="fixed"):
        await bench.agent.run("hi")
    assert [type(e) for e in bench.ends] == [RunFailed]


async def test_what_comes_after_the_end_of_a_stream_is_not_said() -> None:
    done = LlmDone(stop_reason="end_turn")
    bench = a_bench(Fixed(LlmTextDelta(delta="one"), done, LlmTextDelta(delta="two"), done))
    assert (await bench.agent.run("hi")).text == "one"


async def test_a_client_that_breaks_is_a_typed_failure() -> None:
    bench = a_bench(Fixed(LlmTextDelta(delta="one"), error=RuntimeError("a bug")))
    with pytest.raises(AgentError, match="RuntimeError: a bug") as caught:
        await bench.agent.run("hi")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert [type(e) for e in bench.ends] == [RunFailed]


async def test_text_that_is_not_unicode_is_refused_before_anything_happened() -> None:
    bench = a_bench([])
    with pytest.raises(InvalidParams, match="prompt"):
        await bench.agent.run("\ud800", preface=(UserMessage(content="fine"),))
    assert (bench.said, len(bench.transcript)) == ([], 0)


async def test_an_answer_that_cannot_be_kept_is_a_failed_run_with_a_valid_transcript() -> None:
    bench = a_bench([say("\ud800") & call("echo"), "next"], a_tool_that_echoes())
    with pytest.raises(AgentError):
        await bench.agent.run("hi")
    assert open_calls(bench.transcript) == []
    assert (await bench.agent.run("again")).text == "next"


# -- usage -------------------------------------------------------------------------------------


async def test_usage_counts_over_turns_and_runs_and_silence_adds_nothing() -> None:
    one = Usage(input_tokens=1, output_tokens=1, cache_read_tokens=0)
    called = call("echo") & say("", usage=one)
    bench = a_bench([called, say("a", usage=one), say("b", usage=None)], a_tool_that_echoes())
    await bench.agent.run("hi")
    result = await bench.agent.run("hi")
    two = Usage(input_tokens=2, output_tokens=2, cache_read_tokens=0)
    assert result.usage == bench.agent.usage == two
    assert two.cache_creation_tokens is None


async def test_what_a_failed_call_consumed_counts() -> None:
    used = Usage(input_tokens=9, output_tokens=1)
    error = LlmFailed(provider="fixed", reason="provider_error", detail="gone", hint="wait")
    bench = a_bench(Fixed(LlmUsage(usage=used), LlmDone(error=error)))
    with pytest.raises(LlmFailed):
        await bench.agent.run("hi")
    assert bench.agent.usage == used


# -- cancellation ------------------------------------------------------------------------------


async def cancelled(run: asyncio.Task[object], passes: int = 3) -> None:
    for _ in range(passes):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_a_cancelled_run_says_so_once_and_raises_the_cancellation() -> None:
    bench = a_bench([hang(), "next"])
    await cancelled(asyncio.create_task(bench.agent.run("hi")))
    assert bench.ends == [
        RunFailed(
            session_id="s",
            error="the run was cancelled (interrupted): the session takes the next one",
            code="REQUEST_CANCELLED",
        )
    ]
    assert (await bench.agent.run("again")).text == "next"


async def test_an_answer_cut_short_is_kept_without_its_calls() -> None:
    bench = a_bench([say("so far") & call("echo") & hang()], a_tool_that_echoes())
    await cancelled(asyncio.create_task(bench.agent.run("hi")))
    last = bench.transcript.view()[-1]
    text = AssistantText(data=TextData(text="so far"))
    assert last == AssistantMessage(blocks=(text,), stop_reason="cancelled")


async def test_open_calls_of_a_cancelled_run_get_error_results() -> None:
    bench = a_bench([call("hang") & call("echo")], a_tool_that_hangs(), a_tool_that_echoes())
    await cancelled(asyncio.create_task(bench.agent.run("hi")), passes=6)
    assert [r.is_error for r in bench.results] == [True, False]
    assert '"error":"cancelled"' in str(bench.results[0].content)
    assert bench.kinds.count("tool_execution_completed") == 2


async def test_a_run_cancelled_before_its_tools_began_has_results_all_the_same() -> None:
    """The cancel comes with the very step in which the calls are asked for."""
    bench = a_bench([call("echo") & call("echo")], a_tool_that_echoes())
    run = asyncio.create_task(bench.agent.run("hi"))
    while not any(isinstance(e, ToolCallRequested) for e in bench.said):
        await asyncio.sleep(0)
    await cancelled(run, passes=0)
    assert len(bench.results) == 2
    assert open_calls(bench.transcript) == []


@pytest.mark.virtual_only
async def test_a_tool_that_takes_its_time_to_clean_up_is_awaited() -> None:
    cleaned: list[float] = []

    async def tidy(one: ToolCall) -> ToolOutcome:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(5)
            cleaned.append(asyncio.get_running_loop().time())
        return ToolOutcome(content="never")

    bench = a_bench([call("tidy")], a_tool("tidy", tidy))
    await cancelled(asyncio.create_task(bench.agent.run("hi")), passes=6)
    assert cleaned == [5]
    assert open_calls(bench.transcript) == []


async def test_a_tool_that_refuses_to_be_cancelled_does_not_save_the_run() -> None:
    async def stubborn(one: ToolCall) -> ToolOutcome:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return ToolOutcome(content="done anyway")
        return ToolOutcome(content="never")

    bench = a_bench([call("stubborn"), "never"], a_tool("stubborn", stubborn))
    await cancelled(asyncio.create_task(bench.agent.run("hi")), passes=6)
    assert [r.content for r in bench.results] == ["done anyway"]
    assert [type(e) for e in bench.ends] == [RunFailed]


@pytest.mark.virtual_only
async def test_a_tool_that_is_cut_off_is_told_of() -> None:
    @tool(timeout=2.5)
    async def slow() -> str:
        """Never ends."""
        await asyncio.sleep(60)
        return ""

    bench = a_bench([call("slow"), "done"], slow)
    await bench.agent.run("go")
    told = [e for e in bench.said if isinstance(e, ToolExecutionTimedOut)]
    assert told == [ToolExecutionTimedOut(id="call-1", name="slow", timeout_ms=2500)]
    assert [r.is_error for r in bench.results] == [True]
