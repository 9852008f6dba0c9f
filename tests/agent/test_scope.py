"""Which tools a model sees, in which turn, and what it and watchers are told of a change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meerkat_mob.core.events import ToolConfigChange, ToolConfigChanged
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import SystemNotice, UserMessage, text_of_message
from meerkat_mob.core.run_context import NoSession
from meerkat_mob.core.tool_visibility import ToolFilter, ToolsInForce, allow, deny
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome, ToolProvenance
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm import Line, LlmRequest, ScriptedLlm, call
from meerkat_mob.testing.builders import a_tool, a_tool_that_echoes, a_tool_that_waits
from tests.agent.kit import Bench, a_bench

SEARCH, LOAD = "tool_catalog_search", "tool_catalog_load"


def deferred(*names: str) -> list[Tool]:
    return [msgspec.structs.replace(a_tool_that_echoes(n), deferred=True) for n in names]


def of(server: str, *names: str) -> list[Tool]:
    """Tools that come from a server."""
    origin = ToolProvenance(kind="mcp", source_id=server)
    return [
        msgspec.structs.replace(
            tool, definition=msgspec.structs.replace(tool.definition, provenance=origin)
        )
        for tool in map(a_tool_that_echoes, names)
    ]


class Filtered(NoSession):
    """A session whose filters a test sets."""

    def __init__(self, *filters: ToolFilter) -> None:
        super().__init__()
        self.filters = filters

    def tools_in_force(self) -> ToolsInForce:
        return replace(super().tools_in_force(), filters=self.filters)


def seen(llm: ScriptedLlm) -> list[list[str]]:
    """The tools of each call."""
    return [[tool.name for tool in request.tools] for request in llm.requests]


def notices(request: LlmRequest) -> list[tuple[str, str]]:
    return [(m.kind, m.body) for m in request.messages if isinstance(m, SystemNotice)]


def changes(bench: Bench) -> list[ToolConfigChange]:
    return [event.payload for event in bench.said if isinstance(event, ToolConfigChanged)]


def told(bench: Bench) -> list[tuple[str, str, str]]:
    return [(c.operation, c.target, c.status) for c in changes(bench)]


def body(bench: Bench, n: int) -> Mapping[str, Json]:
    """What a tool said."""
    content = bench.results[n].content
    return cast("Mapping[str, Json]", msgspec.json.decode(cast("str", content)))


# -- toolboxes -----------------------------------------------------------------------------------


async def test_a_tool_that_is_added_while_an_agent_runs_is_there_from_its_next_turn_on() -> None:
    box = Toolbox()

    async def grow(call: ToolCall) -> ToolOutcome:
        box.add(a_tool_that_echoes("late"))
        return ToolOutcome(content="grown")

    llm = ScriptedLlm([call("grow"), call("late", n=1), "done"])
    bench = a_bench(llm, a_tool("grow", grow), toolboxes=[box])
    assert (await bench.agent.run("go")).text == "done"
    assert seen(llm) == [["grow"], ["grow", "late"], ["grow", "late"]]
    assert [result.content for result in bench.results] == ["grown", '{"n":1}']
    assert told(bench) == [("add", "late", "added")]
    assert changes(bench)[0].applied_at_turn == 1
    assert [notices(request) for request in llm.requests[:2]] == [
        [],
        [("tool_scope", "Your tools have changed. New: late.")],
    ]


async def test_a_tool_that_is_taken_away_finishes_its_calls_and_is_gone() -> None:
    gate = asyncio.Event()
    box = Toolbox([a_tool_that_waits(gate)])
    llm = ScriptedLlm([call("wait", n=1), call("wait", n=2), "done"])
    bench = a_bench(llm, toolboxes=[box])
    run = asyncio.ensure_future(bench.agent.run("go"))
    while not llm.requests:
        await asyncio.sleep(0)
    box.remove("wait")
    gate.set()
    await run
    assert [result.is_error for result in bench.results] == [False, True]
    assert "tool_not_found" in str(bench.results[1].content)
    assert told(bench) == [("remove", "wait", "removed")]
    assert "No longer there: wait." in notices(llm.requests[1])[0][1]


async def test_a_change_between_two_runs_is_told_in_the_next_one_and_not_again() -> None:
    box = Toolbox()
    llm = ScriptedLlm(["one", "two", "three"])
    bench = a_bench(llm, toolboxes=[box])
    await bench.agent.run("a")
    box.add(a_tool_that_echoes())
    await bench.agent.run("b")
    await bench.agent.run("c")
    assert [len(notices(request)) for request in llm.requests] == [0, 1, 0]
    assert told(bench) == [("add", "echo", "added")]
    assert not any(isinstance(m, SystemNotice) for m in bench.transcript.view())


async def test_of_two_tools_with_one_name_the_first_is_meant_and_watchers_are_told() -> None:
    box = Toolbox()

    async def other(call: ToolCall) -> ToolOutcome:
        return ToolOutcome(content="the other")

    llm = ScriptedLlm(["one", call("echo", n=1), "two"])
    bench = a_bench(llm, a_tool_that_echoes(), toolboxes=[box])
    await bench.agent.run("a")
    box.add(a_tool("echo", other))
    await bench.agent.run("b")
    assert bench.results[0].content == '{"n":1}'
    assert told(bench) == [("add", "echo", "name_taken")]


def test_an_agent_cannot_be_built_with_two_tools_of_one_name() -> None:
    with pytest.raises(InvalidParams, match="two tools are named 'echo'"):
        a_bench([], a_tool_that_echoes(), toolboxes=[Toolbox([a_tool_that_echoes()])])


async def test_servers_are_told_of_and_their_tools_with_them() -> None:
    box = Toolbox()
    box.say("files", "pending")

    async def connect(call: ToolCall) -> ToolOutcome:
        box.add(*of("files", "read", "write"))
        box.say("files", "connected")
        box.say("mail", "failed")
        return ToolOutcome(content="ok")

    async def forget(call: ToolCall) -> ToolOutcome:
        box.remove("read", "write")
        box.say("files", None)
        return ToolOutcome(content="ok")

    llm = ScriptedLlm([call("connect"), call("forget"), "done"])
    bench = a_bench(llm, a_tool("connect", connect), a_tool("forget", forget), toolboxes=[box])
    await bench.agent.run("go")
    assert told(bench) == [
        ("reload", "files", "connected"),
        ("add", "mail", "failed"),
        ("remove", "files", "removed"),
    ]
    assert [kind for request in llm.requests for kind, _ in notices(request)] == [
        "mcp_pending",
        "tool_scope",
        "tool_scope",
    ]
    assert "Still connecting: files." in notices(llm.requests[0])[0][1]


# -- filters -------------------------------------------------------------------------------------


async def test_a_filter_that_changes_is_told_to_the_model_and_to_watchers() -> None:
    session = Filtered("all")

    async def hide(call: ToolCall) -> ToolOutcome:
        session.filters = (deny(["b"]),)
        return ToolOutcome(content="hidden")

    llm = ScriptedLlm([call("hide"), "done"])
    tools = (a_tool("hide", hide), a_tool_that_echoes("b"))
    bench = a_bench(llm, *tools, context=session)
    await bench.agent.run("go")
    assert seen(llm) == [["hide", "b"], ["hide"]]
    assert [(c.target, c.domain) for c in changes(bench)] == [("tool_scope", "tool_scope")]
    assert notices(llm.requests[1]) == [
        ("tool_scope", "Your tools have changed. No longer there: b.")
    ]


async def test_a_filter_that_hides_nothing_new_says_nothing_to_the_model() -> None:
    session = Filtered("all")
    llm = ScriptedLlm(["one", "two"])
    bench = a_bench(llm, a_tool_that_echoes(), context=session)
    await bench.agent.run("a")
    session.filters = (deny(["ghost"]),)
    await bench.agent.run("b")
    assert [c.domain for c in changes(bench)] == ["tool_scope"]
    assert notices(llm.requests[1]) == []


async def test_a_filter_waits_for_a_tool_that_is_not_there_yet() -> None:
    box = Toolbox()
    llm = ScriptedLlm(["one", "two"])
    bench = a_bench(llm, toolboxes=[box], context=Filtered(deny(["late"])))
    await bench.agent.run("a")
    box.add(a_tool_that_echoes("late"), a_tool_that_echoes("free"))
    await bench.agent.run("b")
    assert seen(llm) == [[], ["free"]]


# -- the deferred catalogue ----------------------------------------------------------------------


async def test_deferred_tools_are_hidden_until_they_are_loaded_and_then_stay() -> None:
    llm = ScriptedLlm(
        [call(SEARCH, query="rEad"), call(LOAD, names=["read"]), call("read", n=1), "done", "more"]
    )
    bench = a_bench(llm, a_tool_that_echoes(), *deferred("read", "write"))
    await bench.agent.run("go")
    await bench.agent.run("again")
    assert seen(llm) == [
        [SEARCH, LOAD, "echo"],
        [SEARCH, LOAD, "echo"],
        [SEARCH, LOAD, "echo", "read"],
        [SEARCH, LOAD, "echo", "read"],
        [SEARCH, LOAD, "echo", "read"],
    ]
    assert body(bench, 0) == {
        "tools": [{"name": "read", "description": "read."}],
        "more": 0,
    }
    assert body(bench, 1)["loaded"] == ["read"]
    assert bench.results[2].content == '{"n":1}'
    (change,) = changes(bench)
    delta = change.deferred_catalog_delta
    assert isinstance(delta, msgspec.Struct)
    assert (change.domain, delta.removed_hidden_names) == ("deferred_catalog", ("read",))
    assert notices(llm.requests[2]) == [("tool_scope", "Your tools have changed. New: read.")]


async def test_a_hidden_tool_cannot_be_called_before_it_is_loaded() -> None:
    answer = call("read") & call(LOAD, names=["read"]) & call("read")
    bench = a_bench([answer, call("read"), "done"], *deferred("read", "write"))
    await bench.agent.run("go")
    assert [result.is_error for result in bench.results] == [True, False, True, False]


@pytest.mark.parametrize(
    ("tools", "pending", "hides"),
    [
        (deferred("one"), False, False),
        (deferred("one"), True, True),
        (deferred("one", "two"), False, True),
        (deferred("a" * 100), False, True),
        ([a_tool_that_echoes()], True, False),
    ],
    ids=["a single small one", "more may come", "two", "a large one", "none"],
)
async def test_few_and_small_ones_are_shown_at_once(
    tools: list[Tool], pending: bool, hides: bool
) -> None:
    box = Toolbox(tools)
    if pending:
        box.say("files", "pending")
    llm = ScriptedLlm(["done"])
    await a_bench(llm, toolboxes=[box]).agent.run("go")
    assert (SEARCH in seen(llm)[0]) is hides


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ghost", "unknown_key"),
        ("echo", "not_deferred_eligible"),
        ("read", "already_requested"),
        ("secret", "unknown_key"),
    ],
)
async def test_a_load_that_cannot_be_says_why(name: str, reason: str) -> None:
    answers = call(LOAD, names=["read"]) & call(LOAD, names=[name, name])
    tools = [a_tool_that_echoes(), *deferred("read", "write", "secret")]
    bench = a_bench([answers, "done"], *tools, context=Filtered(deny(["secret"])))
    await bench.agent.run("go")
    assert body(bench, 1)["refused"] == [{"name": name, "reason": reason}]
    assert body(bench, 1)["loaded"] == []


async def test_what_a_server_may_still_bring_is_not_unknown() -> None:
    box = Toolbox(deferred("read"))
    box.say("files", "pending")
    answers = call(LOAD, names=["write"]) & call(SEARCH)
    bench = a_bench([answers, "done"], toolboxes=[box])
    await bench.agent.run("go")
    assert body(bench, 0)["refused"] == [{"name": "write", "reason": "temporarily_unavailable"}]
    assert body(bench, 1)["still_connecting"] == ["files"]


async def test_no_filter_hides_the_tools_that_load_others() -> None:
    llm = ScriptedLlm(["done"])
    tools = [a_tool_that_echoes(), *deferred("read", "write")]
    bench = a_bench(llm, *tools, context=Filtered(allow(["read", "write"])))
    await bench.agent.run("go")
    assert seen(llm) == [[SEARCH, LOAD]]


async def test_a_search_tells_of_so_many_and_says_that_there_are_more() -> None:
    bench = a_bench([call(SEARCH), "done"], *deferred(*(f"t{n}" for n in range(60))))
    await bench.agent.run("go")
    assert body(bench, 0)["more"] == 10


# -- whatever happens ----------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
FILTERS = st.one_of(
    st.just("all"),
    st.lists(st.sampled_from(NAMES)).map(allow),
    st.lists(st.sampled_from(NAMES)).map(deny),
)
STEPS = st.one_of(
    st.tuples(st.just("turn"), st.sampled_from(NAMES)),
    st.tuples(st.just("flip"), st.sampled_from(NAMES)),
    st.tuples(st.just("filter"), FILTERS),
    st.tuples(st.just("load"), st.sampled_from(NAMES)),
)


@given(st.lists(STEPS, max_size=12), st.sets(st.sampled_from(NAMES)))
async def test_what_is_seen_is_what_can_be_called_and_every_change_is_told(
    steps: list[tuple[str, object]], later: set[str]
) -> None:
    """INV-8, TS-1, TS-4, TS-5: over toolboxes, filters and loads in any order."""
    box, session = Toolbox(), Filtered("all")
    known = {n: msgspec.structs.replace(a_tool_that_echoes(n), deferred=n in later) for n in NAMES}

    def answer(request: LlmRequest) -> Line:
        """Each run calls the tool that its prompt names, and ends."""
        said = [m for m in request.messages if not isinstance(m, SystemNotice)]
        last = said[-1]
        return call(text_of_message(last)) if isinstance(last, UserMessage) else "done"

    llm = ScriptedLlm(answer)
    bench = a_bench(llm, toolboxes=[box], context=session)
    for what, value in steps:
        if what == "turn" and isinstance(value, str):
            before, told_before = seen(llm)[-1:], len(changes(bench))
            await bench.agent.run(value)
            shown = seen(llm)[-2]
            assert bench.results[-1].is_error is (value not in shown)
            if before and set(before[0]) != set(shown):
                assert len(changes(bench)) > told_before
                assert notices(llm.requests[-2])
        elif what == "flip" and isinstance(value, str):
            there = {tool.definition.name for tool in box.tools}
            if value in there:
                box.remove(value)
            else:
                box.add(known[value])
        elif what == "filter":
            session.filters = (cast("ToolFilter", value),)
        elif isinstance(value, str):
            session.load_tools([value])
