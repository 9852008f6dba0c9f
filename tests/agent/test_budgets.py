"""What a run may consume: it stops before it would be too much, and says so before that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.budget import LEAST
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.events import BudgetWarning, RunCompleted
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed, RunCancelled, TimeBudgetExceeded
from meerkat_mob.llm import Reply, ScriptedLlm, call, fail, hang, say
from meerkat_mob.testing.builders import a_tool_that_echoes, a_tool_that_hangs
from tests.agent.kit import Bench, a_bench, open_calls

ECHO = a_tool_that_echoes()


def of_run(**limits: int) -> Mapping[str, object]:
    return {"budget": BudgetLimits(**limits)}


def warnings(bench: Bench) -> list[tuple[str, int, int]]:
    return [(e.budget_type, e.used, e.limit) for e in bench.said if isinstance(e, BudgetWarning)]


def costing(tokens: int, text: str = "", *, calls: bool = True) -> Reply:
    said = say(text, usage=Usage(input_tokens=tokens - 10, output_tokens=10))
    return call("echo") & said if calls else said


# -- tokens ------------------------------------------------------------------------------------


async def test_a_call_that_would_exceed_is_not_made_and_the_run_ends_well() -> None:
    """BUD-1 superseded: the next request alone costs 800, and 200 are left."""
    bench = a_bench([costing(800, "so far")], ECHO, limits=of_run(max_tokens=1000))
    result = await bench.agent.run("go")
    assert (result.text, result.turns, result.tool_calls) == ("so far", 1, 1)
    assert isinstance(bench.ends[0], RunCompleted)
    assert warnings(bench) == [("tokens", 800, 1000)] * 2  # at four fifths, and at the end


async def test_an_answer_gets_what_is_left_and_no_more() -> None:
    script = ScriptedLlm([costing(600), costing(700, "done", calls=False)])
    bench = a_bench(script, ECHO, limits=of_run(max_tokens=2000))
    await bench.agent.run("go")
    first, second = (request.max_tokens for request in script.requests)
    assert LEAST < first <= 2000
    assert second < 2000 - 600 - 590
    assert second >= LEAST


async def test_below_the_least_room_nothing_is_asked() -> None:
    """8.5: exhausted at the start: no call, and the run still completes."""
    bench = a_bench([], limits=of_run(max_tokens=LEAST - 1))
    result = await bench.agent.run("go")
    assert (result.text, result.turns) == ("", 0)
    assert bench.kinds == ["run_started", "budget_warning", "run_completed"]
    assert warnings(bench) == [("tokens", 0, LEAST - 1)]


async def test_a_small_answer_needs_only_a_small_room() -> None:
    limits = {**of_run(max_tokens=100), "max_tokens": 50}
    bench = a_bench(["yes"], limits=limits)
    assert (await bench.agent.run("go")).text == "yes"


async def test_eighty_per_cent_are_warned_of_once() -> None:
    script = [costing(700), costing(1000), costing(100, "done", calls=False)]
    bench = a_bench(script, ECHO, limits=of_run(max_tokens=10_000))
    await bench.agent.run("go")
    assert warnings(bench) == []
    script = [*[costing(1000)] * 8, costing(1000, "done", calls=False)]
    bench = a_bench(script, ECHO, limits=of_run(max_tokens=10_000))
    assert (await bench.agent.run("go")).text == "done"
    assert [used for _, used, _ in warnings(bench)] == [8000]


async def test_usage_that_nobody_tells_is_estimated() -> None:
    silent = say("x" * 4000, usage=None)
    bench = a_bench([silent & call("echo")], ECHO, limits=of_run(max_tokens=2000))
    result = await bench.agent.run("go")
    assert result.turns == 1  # a thousand were said, and would be read again
    ((_, used, _),) = warnings(bench)
    assert used >= 1000


async def test_a_session_s_budget_counts_its_runs_together() -> None:
    limits = {"session_budget": BudgetLimits(max_tokens=1000)}
    script = [costing(400, "one", calls=False), costing(400, "two", calls=False)]
    bench = a_bench(script, ECHO, limits=limits)
    assert (await bench.agent.run("go")).text == "one"
    assert (await bench.agent.run("on")).turns == 0
    script = [costing(400, "one", calls=False), costing(400, "two", calls=False)]
    bench = a_bench(script, ECHO, limits=of_run(max_tokens=1000))  # for each run
    assert (await bench.agent.run("go")).text == "one"
    assert (await bench.agent.run("on")).text == "two"


@given(
    st.lists(st.integers(10, 3000), min_size=1, max_size=8),
    st.integers(1, 10_000),
    st.integers(1, 5000),
)
async def test_no_request_is_made_that_does_not_fit(
    costs: list[int], limit: int, wanted: int
) -> None:
    replies = [costing(max(cost, 11)) for cost in costs]
    script = ScriptedLlm([*replies, costing(11, calls=False)])
    bench = a_bench(script, ECHO, limits={**of_run(max_tokens=limit), "max_tokens": wanted})
    await bench.agent.run("go")
    spent = 0
    for request, reply in zip(script.requests, replies, strict=False):
        assert min(wanted, LEAST) <= request.max_tokens <= wanted
        assert spent + request.max_tokens <= limit
        usage = reply.usage
        spent += usage.total if isinstance(usage, Usage) else 0
    assert open_calls(bench.transcript) == []
    assert len([e for e in bench.said if isinstance(e, BudgetWarning)]) <= 2


# -- tool calls --------------------------------------------------------------------------------


async def test_tool_calls_beyond_the_limit_are_not_run() -> None:
    script = [call("echo", n=1) & call("echo", n=2) & call("echo", n=3)]
    bench = a_bench(script, ECHO, limits=of_run(max_tool_calls=2))
    result = await bench.agent.run("go")
    assert result.turns == 1
    assert [r.is_error for r in bench.results] == [False, False, True]
    assert "budget_exhausted" in str(bench.results[-1].content)
    assert [what for what, _, _ in warnings(bench)] == ["tool_calls", "tool_calls"]
    assert open_calls(bench.transcript) == []


async def test_the_last_allowed_call_is_run_and_then_the_run_ends() -> None:
    bench = a_bench([call("echo")], ECHO, limits=of_run(max_tool_calls=1))
    result = await bench.agent.run("go")
    assert (result.turns, result.tool_calls) == (1, 1)
    assert [r.is_error for r in bench.results] == [False]


# -- time --------------------------------------------------------------------------------------


@pytest.mark.virtual_only
async def test_a_run_that_takes_too_long_fails_and_leaves_things_in_order() -> None:
    """BUD-1: in a model call, in a tool, and between two attempts."""
    for script in ([hang()], [call("hang")], [fail(retryable=True, retry_after_ms=60_000)]):
        bench = a_bench(script, a_tool_that_hangs(), limits=of_run(max_duration=5000))
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeBudgetExceeded):
            await bench.agent.run("go")
        assert asyncio.get_running_loop().time() - began == 5
        assert bench.kinds[-1] == "run_failed"
        assert warnings(bench) == [("time", 5000, 5000)]
        assert open_calls(bench.transcript) == []


@pytest.mark.virtual_only
async def test_an_interrupt_is_no_time_budget() -> None:
    bench = a_bench([hang()], limits=of_run(max_duration=5000))
    run = asyncio.create_task(bench.agent.run("go"))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    (end,) = bench.ends
    assert getattr(end, "code", "") == RunCancelled.code


# -- patience ----------------------------------------------------------------------------------


@pytest.mark.virtual_only
async def test_a_call_that_takes_too_long_is_made_again() -> None:
    """RTY-4, RTY-2."""
    bench = a_bench([hang(), "well"], limits={"call_timeout_ms": 2000})
    assert (await bench.agent.run("go")).text == "well"
    assert bench.kinds.count("retrying") == 1


@pytest.mark.virtual_only
async def test_a_stream_that_falls_silent_is_given_up() -> None:
    slow = say("one two three", pace=100)
    bench = a_bench([slow, slow, slow, slow], limits={"silence_ms": 50_000})
    with pytest.raises(LlmFailed) as failure:
        await bench.agent.run("go")
    assert failure.value.reason == "network_timeout"
    assert len(bench.transcript) == 1  # what a failed call had said is not kept


@pytest.mark.virtual_only
async def test_a_slow_stream_that_speaks_is_heard_to_its_end() -> None:
    bench = a_bench([say("one two three four", pace=40)], limits={"silence_ms": 50_000})
    assert (await bench.agent.run("go")).text == "one two three four"


@pytest.mark.virtual_only
async def test_an_interrupt_during_a_call_with_a_limit_stays_an_interrupt() -> None:
    bench = a_bench([hang()], limits={"call_timeout_ms": 2000})
    run = asyncio.create_task(bench.agent.run("go"))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bench.kinds[-1] == "run_failed"
