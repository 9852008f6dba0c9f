"""Whatever a model says, whatever tools do, whenever a run is cancelled: INV-3, INV-7."""

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.events import RunCompleted, RunFailed, RunStarted
from meerkat_mob.errors import MeerkatError
from meerkat_mob.llm import Reply, call, fail, hang, say
from meerkat_mob.testing.builders import (
    a_tool_that_echoes,
    a_tool_that_fails,
    a_tool_that_hangs,
)
from tests.agent.kit import a_bench, open_calls

TOOLS = (
    a_tool_that_echoes(),
    a_tool_that_fails(ValueError("no")),
    a_tool_that_fails(asyncio.CancelledError(), "cancelled"),
    a_tool_that_hangs(),
)
calls = st.sampled_from(["echo", "fail", "cancelled", "hang", "unknown"]).map(call)
texts = st.sampled_from(["", "a", "a b c"]).map(say)
turns = st.lists(st.one_of(texts, calls, calls), min_size=1, max_size=4)
ends = st.sampled_from([say("done"), fail("no"), hang(), say("half") & hang()])


def joined(parts: list[Reply]) -> Reply:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole


@given(
    script=st.lists(turns.map(joined), max_size=4),
    end=ends,
    cancels=st.lists(st.integers(min_value=0, max_value=25), min_size=1, max_size=3),
)
async def test_a_transcript_stays_valid_and_each_run_ends_once(
    script: list[Reply], end: Reply, cancels: list[int]
) -> None:
    bench = a_bench([*script, end], *TOOLS)
    for passes in cancels:
        run = asyncio.create_task(bench.agent.run("go"))
        for _ in range(passes):
            await asyncio.sleep(0)
        run.cancel()
        with suppress(asyncio.CancelledError, MeerkatError):
            await run
        assert open_calls(bench.transcript) == []
        marks = [e for e in bench.said if isinstance(e, RunStarted | RunCompleted | RunFailed)]
        assert [isinstance(e, RunStarted) for e in marks] == [True, False] * (len(marks) // 2)
