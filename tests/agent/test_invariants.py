"""Whatever models, tools, hooks and budgets do, whenever it is cancelled: INV-3, INV-7, INV-8."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.events import RunOver, RunStarted
from meerkat_mob.core.hooks import (
    AssistantTextPatch,
    Deny,
    Hook,
    HookAnswer,
    HookCall,
    HookPoint,
    RunResultPatch,
    ToolArgsPatch,
    ToolResultPatch,
)
from meerkat_mob.core.messages import AssistantMessage, ToolResult, ToolUseData, tool_uses
from meerkat_mob.core.run_context import NoSession
from meerkat_mob.core.tool_visibility import ToolFilter, ToolsInForce, allow, deny
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome, callback_tool
from meerkat_mob.errors import CallbackPending, MeerkatError
from meerkat_mob.llm import Reply, ScriptedLlm, call, fail, hang, say
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
    callback_tool(a_tool_that_echoes("ask").definition),
)
NAMES = ("echo", "fail", "cancelled", "hang", "unknown")
calls = st.sampled_from(NAMES).map(call)
texts = st.sampled_from(["", "a", "a b c"]).map(say)
turns = st.lists(st.one_of(texts, calls, calls), min_size=1, max_size=4)
ends = st.sampled_from([say("done"), fail("no"), hang(), say("half") & hang(), call("ask")])


def joined(parts: list[Reply]) -> Reply:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole


scripts = st.lists(turns.map(joined), max_size=4)

# -- what surrounds a run ----------------------------------------------------------------------

ANSWERS: dict[HookPoint, HookAnswer] = {
    "post_llm_response": AssistantTextPatch(text="other"),
    "pre_tool_execution": ToolArgsPatch(args={"n": 1}),
    "post_tool_execution": ToolResultPatch(content="other"),
    "run_completed": RunResultPatch(text="other"),
}
POINTS: tuple[HookPoint, ...] = (
    *ANSWERS,
    "run_started",
    "pre_llm_request",
    "turn_boundary",
    "run_failed",
)


def hook(number: int, point: HookPoint, kind: str) -> Hook:
    async def run(_: HookCall) -> HookAnswer:
        await asyncio.sleep(0)
        if kind == "breaks":
            raise OSError("gone")
        return Deny(message="no") if kind == "denies" else ANSWERS.get(point)

    return Hook(
        id=f"hook-{number}",
        point=point,
        run=run,
        capability="rewrite" if point in ANSWERS and kind == "changes" else "guardrail",
    )


hooks = st.lists(
    st.tuples(st.sampled_from(POINTS), st.sampled_from(["changes", "denies", "breaks"])),
    max_size=2,
).map(lambda drawn: [hook(n, point, kind) for n, (point, kind) in enumerate(drawn)])
budgets = st.builds(
    BudgetLimits,
    max_tool_calls=st.one_of(st.just(msgspec.UNSET), st.integers(0, 4)),
    max_tokens=st.one_of(st.just(msgspec.UNSET), st.integers(0, 6000)),
)
filters: st.SearchStrategy[ToolFilter] = st.sampled_from(
    ["all", "all", deny(["echo"]), allow(["echo", "ask"]), deny(NAMES)]
)


policies = st.builds(
    CompactionPolicy,
    window_tokens=st.sampled_from([1, 40, 125_000]),
    keep_turns=st.integers(0, 2),
    min_boundaries=st.integers(1, 2),
)


class Filtered(NoSession):
    """A session whose filter may be another one at each boundary."""

    def __init__(self, drawn: list[ToolFilter]) -> None:
        super().__init__()
        self.drawn = drawn
        self.left: tuple[str, ...] = ()

    def tools_in_force(self) -> ToolsInForce:
        drawn = (self.drawn.pop(0),) if self.drawn else ()
        return replace(super().tools_in_force(), filters=drawn)

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        del done
        self.left = tuple(use.id for use in calls)


@given(
    scripts,
    ends,
    st.tuples(hooks, budgets, st.lists(filters, max_size=4)),
    st.integers(min_value=0, max_value=40),
)
async def test_a_transcript_stays_valid_and_each_run_ends_once(
    script: list[Reply],
    end: Reply,
    around: tuple[list[Hook], BudgetLimits, list[ToolFilter]],
    passes: int,
) -> None:
    guards, budget, drawn = around
    ran: list[str] = []
    tools = [noting(tool, ran) for tool in TOOLS]
    llm, session = ScriptedLlm([*script, end]), Filtered(drawn)
    bench = a_bench(llm, *tools, context=session, hooks=guards, limits={"budget": budget})
    run = asyncio.create_task(bench.agent.run("go"))
    for _ in range(passes):
        await asyncio.sleep(0)
    run.cancel()
    waits = False
    try:
        await run
    except CallbackPending:
        waits = True
    except (asyncio.CancelledError, MeerkatError):
        pass
    last = bench.transcript.last
    if waits:  # the whole answer waits, and all who are waited for are named
        assert session.left
        assert set(session.left) <= set(open_calls(bench.transcript))
        assert isinstance(last, AssistantMessage)
    else:
        assert open_calls(bench.transcript) == []
    if passes:
        assert [isinstance(e, RunStarted) for e in bench.said if is_mark(e)] == [True, False]
        assert isinstance(bench.said[-1], RunOver)
    answers = [m for m in bench.transcript.view() if isinstance(m, AssistantMessage)]
    for request, answer in zip(llm.requests, answers, strict=False):
        seen = {tool.name for tool in request.tools}
        assert {use.name for use in tool_uses(answer) if use.id in ran} <= seen


def noting(tool: Tool, ran: list[str]) -> Tool:
    """The tool, and whether it was reached."""

    async def execute(given: ToolCall) -> ToolOutcome:
        ran.append(given.id)
        return await tool.execute(given)

    return Tool(definition=tool.definition, execute=execute)


def is_mark(event: object) -> bool:
    return isinstance(event, RunStarted | RunOver)


@given(
    script=scripts,
    end=ends,
    cancels=st.lists(st.integers(min_value=0, max_value=25), min_size=1, max_size=3),
    compaction=policies,
)
async def test_a_run_after_another_finds_things_in_order(
    script: list[Reply], end: Reply, cancels: list[int], compaction: CompactionPolicy
) -> None:
    bench = a_bench([*script, end], *TOOLS[:-1], limits={"compaction": compaction})
    for passes in cancels:
        run = asyncio.create_task(bench.agent.run("go"))
        for _ in range(passes):
            await asyncio.sleep(0)
        run.cancel()
        with suppress(asyncio.CancelledError, MeerkatError):
            await run
        assert open_calls(bench.transcript) == []
        marks = [e for e in bench.said if is_mark(e)]
        assert [isinstance(e, RunStarted) for e in marks] == [True, False] * (len(marks) // 2)
