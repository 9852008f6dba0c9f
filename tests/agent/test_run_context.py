"""What an agent asks of its session in a run: when, how often, and what becomes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meerkat_mob.core.blobs import Blob, blob_id
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.messages import (
    SystemMessage,
    ToolResult,
    ToolResults,
    ToolUseData,
    UserMessage,
    text_of_message,
)
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.run_context import News, NoSession
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.tool_visibility import ToolFilter, ToolsInForce, allow, deny
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import InvalidParams, StoreFailed
from meerkat_mob.llm import LlmRequest, Reply, ScriptedLlm, call, fail, hang, say
from meerkat_mob.testing.builders import a_tool, a_tool_that_echoes
from tests.agent.kit import Bench, a_bench, open_calls

NOTE = PendingAppend(text="the build is red", source="ci", accepted_at=1)
RENDERED = "[Runtime System Context]\nsource: ci\n\nthe build is red"
IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")
NAME = blob_id("image/png", "aGk=")
NAMED = ImageBlock(media_type="image/png", source="blob", blob_id=NAME)
BLOB = Blob(media_type="image/png", data="aGk=")


class Session(NoSession):
    """A session of its own for one test: what waits in it, and what it was asked."""

    def __init__(self, *notes: PendingAppend, kept: Mapping[str, Blob] | None = None) -> None:
        super().__init__()
        self.notes, self.kept = notes, kept or {}
        self.filters: tuple[ToolFilter, ...] = ()
        self.transcript: Transcript | None = None
        self.checkpoints: list[int] = []
        """The number of messages at each."""
        self.fails_at, self.hangs_at = -1, -1
        """Which checkpoint cannot be kept, or takes for ever."""
        self.asked: list[tuple[str, ...]] = []
        self.has_blobs = True
        self.joining: list[str] = []
        """What waits to join the run, one at each boundary."""

    def take_system_context(self) -> tuple[PendingAppend, ...]:
        notes, self.notes = self.notes, ()
        return notes

    def tools_in_force(self) -> ToolsInForce:
        return replace(super().tools_in_force(), filters=self.filters)

    async def checkpoint(self) -> None:
        place = len(self.checkpoints)
        self.checkpoints.append(0 if self.transcript is None else len(self.transcript))
        if place == self.hangs_at:
            await asyncio.get_running_loop().create_future()
        if place == self.fails_at:
            raise StoreFailed(path="realm", why="disk full")

    def news(self) -> News | None:
        return None

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        self.left = calls, done

    async def steer(self) -> bool:
        if not self.joining:
            return False
        assert self.transcript is not None
        self.transcript.push(UserMessage(content=self.joining.pop(0)))
        return True

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        self.asked.append(tuple(ids))
        if not self.has_blobs:
            raise StoreFailed(path="realm", why="disk gone")
        return {name: self.kept[name] for name in self.asked[-1] if name in self.kept}


def bench_of(session: Session, llm: ScriptedLlm, *tools: Tool) -> Bench:
    bench = a_bench(llm, *tools, context=session)
    session.transcript = bench.transcript
    return bench


# -- system context (SES-22, SES-23a, SES-24) --------------------------------------------------


async def test_notes_are_part_of_every_call_of_the_run_that_took_them_and_of_no_other() -> None:
    llm = ScriptedLlm([call("echo"), say("done"), say("next")])
    session = Session(NOTE)
    bench = bench_of(session, llm, a_tool_that_echoes())
    await bench.agent.run("go")
    assert [request.system_prompt for request in llm.requests] == [RENDERED, RENDERED]
    session.notes = ()
    await bench.agent.run("again")
    assert llm.requests[-1].system_prompt == ""


async def test_notes_stand_behind_the_prompt_and_never_enter_the_transcript() -> None:
    llm = ScriptedLlm(["done"])
    bench = bench_of(Session(NOTE, NOTE), llm)
    bench.transcript.set_system_prompt("be brief")
    await bench.agent.run("go")
    assert llm.requests[0].system_prompt == "\n\n---\n\n".join(("be brief", RENDERED, RENDERED))
    assert bench.transcript.view()[0] == SystemMessage(content="be brief")
    assert not any("build is red" in text_of_message(m) for m in bench.transcript.view())


async def test_a_note_that_comes_during_a_run_waits_for_the_next_one() -> None:
    session = Session()

    async def note(one: ToolCall) -> ToolOutcome:
        session.notes = (NOTE,)
        return ToolOutcome(content="noted")

    llm = ScriptedLlm([call("note"), say("done"), say("next")])
    bench = bench_of(session, llm, a_tool("note", note))
    await bench.agent.run("go")
    assert [request.system_context for request in llm.requests] == ["", ""]
    await bench.agent.run("again")
    assert llm.requests[-1].system_context == RENDERED


@pytest.mark.virtual_only
async def test_a_call_that_is_made_again_has_the_notes_too() -> None:
    llm = ScriptedLlm([fail(retryable=True), say("done")])
    await bench_of(Session(NOTE), llm).agent.run("go")
    assert [request.system_context for request in llm.requests] == [RENDERED, RENDERED]


async def test_a_run_without_any_model_call_leaves_the_notes_where_they_are() -> None:
    session = Session(NOTE)
    bench = a_bench([], max_turns=0, context=session)
    await bench.agent.run("go")
    assert session.notes == (NOTE,)
    with pytest.raises(InvalidParams):
        await bench.agent.run("\ud800")
    assert session.notes == (NOTE,)


async def test_images_that_cannot_be_read_leave_the_notes_where_they_are() -> None:
    session = Session(NOTE)
    session.has_blobs = False
    bench = bench_of(session, ScriptedLlm([]))
    with pytest.raises(StoreFailed):
        await bench.agent.run((NAMED,))
    assert session.notes == (NOTE,)
    assert bench.kinds == ["run_started", "run_failed"]


# -- checkpoints -------------------------------------------------------------------------------


async def test_an_answer_is_kept_before_its_tools_start_and_their_results_after() -> None:
    began: list[int] = []
    session = Session()

    async def look(one: ToolCall) -> ToolOutcome:
        began.append(len(session.checkpoints))
        return ToolOutcome(content="seen")

    script = [call("look") & call("look"), call("look"), say("done")]
    bench = bench_of(session, ScriptedLlm(script), a_tool("look", look))
    await bench.agent.run("go")
    assert began == [1, 1, 3]
    assert session.checkpoints == [2, 3, 4, 5]
    await bench_of(session := Session(), ScriptedLlm(["no tools"])).agent.run("go")
    assert session.checkpoints == []


async def test_no_tool_starts_when_the_answer_cannot_be_kept() -> None:
    session = Session()
    session.fails_at = 0
    bench = bench_of(
        session, ScriptedLlm([call("echo") & call("echo"), "next"]), a_tool_that_echoes()
    )
    with pytest.raises(StoreFailed):
        await bench.agent.run("go")
    assert [r.is_error for r in bench.results] == [True, True]
    assert all('"error":"not_started"' in str(r.content) for r in bench.results)
    assert bench.kinds[2:] == [
        "tool_call_requested",
        "tool_call_requested",
        "tool_result_received",
        "tool_result_received",
        "run_failed",
    ]
    assert [getattr(end, "code", "") for end in bench.ends] == ["STORE_FAILED"]
    assert (await bench.agent.run_pending()).text == "next"


async def test_results_that_cannot_be_kept_fail_the_run_and_stay() -> None:
    session = Session()
    session.fails_at = 1
    bench = bench_of(session, ScriptedLlm([call("echo"), "next"]), a_tool_that_echoes())
    with pytest.raises(StoreFailed):
        await bench.agent.run("go")
    assert [r.is_error for r in bench.results] == [False]
    assert open_calls(bench.transcript) == []
    assert (await bench.agent.run_pending()).text == "next"


@pytest.mark.parametrize(("hangs_at", "code"), [(0, "not_started"), (1, None)])
async def test_a_run_cancelled_at_a_checkpoint_has_a_result_for_each_call(
    hangs_at: int, code: str | None
) -> None:
    session = Session()
    session.hangs_at = hangs_at
    bench = bench_of(session, ScriptedLlm([call("echo")]), a_tool_that_echoes())
    run = asyncio.create_task(bench.agent.run("go"))
    while len(session.checkpoints) <= hangs_at:
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert open_calls(bench.transcript) == []
    (result,) = bench.results
    assert (f'"error":"{code}"' in str(result.content)) == (code is not None)
    assert bench.kinds[-1] == "run_failed"


@given(
    turns=st.lists(st.integers(1, 3), max_size=3),
    fails_at=st.integers(-1, 7),
    passes=st.integers(0, 30),
)
async def test_a_transcript_is_valid_at_every_checkpoint_and_after_any_end(
    turns: list[int], fails_at: int, passes: int
) -> None:
    """What a checkpoint keeps ends with calls, all of which open, or with none open (INV-3)."""
    script: list[Reply | str] = []
    for count in turns:
        reply = say("")
        for _ in range(count):
            reply = reply & call("echo")
        script.append(reply)
    session = Session()
    session.fails_at = fails_at
    bench = bench_of(session, ScriptedLlm([*script, "done"]), a_tool_that_echoes())
    run = asyncio.create_task(bench.agent.run("go"))
    for _ in range(passes):
        await asyncio.sleep(0)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert open_calls(bench.transcript) == []
    for place, length in enumerate(session.checkpoints):
        assert len(open_calls(bench.transcript.fork_at(length))) == (
            0 if place % 2 else turns[place // 2]
        )


# -- images (BLB-4) ----------------------------------------------------------------------------


async def test_images_of_the_transcript_go_along_without_asking_the_session() -> None:
    llm, session = ScriptedLlm(["ok"]), Session()
    bench = bench_of(session, llm)
    await bench.agent.run((TextBlock(text="see"), IMAGE))
    assert llm.requests[0].blobs == {NAME: BLOB}
    assert bench.transcript.view()[0] == UserMessage(content=(TextBlock(text="see"), NAMED))
    assert session.asked == []


async def test_images_that_are_kept_elsewhere_are_fetched_once_in_a_run() -> None:
    llm = ScriptedLlm([call("echo"), say("done"), say("next")])
    session = Session(kept={NAME: BLOB})
    bench = bench_of(session, llm, a_tool_that_echoes())
    await bench.agent.run((NAMED,))
    assert [request.blobs for request in llm.requests] == [{NAME: BLOB}] * 2
    assert session.asked == [(NAME,)]
    await bench.agent.run("again")
    assert session.asked == [(NAME,), (NAME,)]


async def test_an_image_that_is_gone_is_not_in_the_request() -> None:
    llm, session = ScriptedLlm(["ok"]), Session()
    await bench_of(session, llm).agent.run(
        (NAMED, IMAGE, ImageBlock(media_type="image/png", source="blob", blob_id="gone"))
    )
    assert llm.requests[0].blobs == {NAME: BLOB}
    assert session.asked == [("gone",)]


async def test_an_image_in_a_tool_s_result_is_in_the_next_call() -> None:
    async def draw(one: ToolCall) -> ToolOutcome:
        return ToolOutcome(content=(IMAGE,))

    llm, session = ScriptedLlm([call("draw"), say("done")]), Session()
    bench = bench_of(session, llm, a_tool("draw", draw))
    await bench.agent.run("go")
    assert [request.blobs for request in llm.requests] == [{}, {NAME: BLOB}]
    results = cast("ToolResults", llm.requests[1].messages[-1])
    assert results.results[0].content == (NAMED,)


async def test_a_session_of_text_is_never_asked_for_images() -> None:
    llm, session = ScriptedLlm([call("echo"), say("done")]), Session()
    await bench_of(session, llm, a_tool_that_echoes()).agent.run("go")
    assert session.asked == []
    assert all(not request.blobs for request in llm.requests)


# -- tool filters (TS-1, TS-5, INV-8) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ((), ["a", "b", "c"]),
        (("all", "all"), ["a", "b", "c"]),
        ((allow(["b", "a", "later"]),), ["a", "b"]),
        ((deny(["b"]),), ["a", "c"]),
        ((allow(["a", "b"]), deny(["a"])), ["b"]),
        ((allow(["a", "b"]), allow(["b", "c"]), "all"), ["b"]),
        ((allow(["a"]), allow(["b"])), []),
        ((deny(["a"]), deny(["b", "c"])), []),
    ],
)
async def test_a_tool_is_shown_only_when_every_filter_shows_it(
    filters: tuple[ToolFilter, ...], shown: list[str]
) -> None:
    llm, session = ScriptedLlm(["ok"]), Session()
    session.filters = filters
    tools = [a_tool_that_echoes(name) for name in "abc"]
    await bench_of(session, llm, *tools).agent.run("go")
    assert [tool.name for tool in llm.requests[0].tools] == shown


async def test_a_hidden_tool_is_answered_like_an_unknown_one() -> None:
    ran: list[str] = []

    async def spy(one: ToolCall) -> ToolOutcome:
        ran.append(one.id)
        return ToolOutcome(content="ran")

    session = Session()
    session.filters = (deny(["hidden"]),)
    script = [call("hidden") & call("echo"), say("done")]
    tools = (a_tool("hidden", spy), a_tool_that_echoes())
    bench = bench_of(session, ScriptedLlm(script), *tools)
    await bench.agent.run("go")
    assert ran == []
    assert [r.is_error for r in bench.results] == [True, False]
    assert "tool_not_found" in str(bench.results[0].content)
    assert "no tool 'hidden'; there are: echo" in str(bench.results[0].content)


async def test_a_filter_takes_effect_at_the_next_turn() -> None:
    session = Session()

    async def hide(one: ToolCall) -> ToolOutcome:
        session.filters = (allow(["echo"]),)
        return ToolOutcome(content="hidden")

    llm = ScriptedLlm([call("hide") & call("hide"), call("hide"), say("done")])
    bench = bench_of(session, llm, a_tool("hide", hide), a_tool_that_echoes())
    await bench.agent.run("go")
    seen = [[tool.name for tool in request.tools] for request in llm.requests]
    assert seen == [["hide", "echo"], ["echo"], ["echo"]]
    assert [r.is_error for r in bench.results] == [False, False, True]
    session.filters = ()
    llm_again = ScriptedLlm(["ok"])
    bench.agent.swap(llm_again, SessionLlmIdentity(model="m", provider="other"))
    await bench.agent.run("go")
    assert len(llm_again.requests[0].tools) == 2


# -- hot swap ----------------------------------------------------------------------------------


async def test_after_a_swap_the_next_call_goes_to_the_new_model() -> None:
    second = ScriptedLlm(["from the second"])
    bench = a_bench([])

    def first(request: LlmRequest) -> Reply:
        identity = SessionLlmIdentity(model="other", provider="openai", provider_params={"seed": 7})
        bench.agent.swap(second, identity)
        return call("echo")

    one = ScriptedLlm(first)
    bench = a_bench(one, a_tool_that_echoes())
    assert (await bench.agent.run("go")).text == "from the second"
    assert (len(one.requests), len(second.requests)) == (1, 1)
    assert [one.requests[0].model, second.requests[0].model] == ["scripted", "other"]
    assert dict(second.requests[0].provider_params) == {"seed": 7}
    assert (bench.agent.model, bench.agent.provider) == ("other", "scripted")


async def test_a_swap_without_params_has_none() -> None:
    llm, bench = ScriptedLlm(["ok"]), a_bench([])
    bench.agent.swap(
        ScriptedLlm([]), SessionLlmIdentity(model="a", provider="other", provider_params={"x": 1})
    )
    bench.agent.swap(llm, SessionLlmIdentity(model="b", provider="other"))
    await bench.agent.run("go")
    assert dict(llm.requests[0].provider_params) == {}


async def test_a_swap_with_params_that_are_no_object_changes_nothing() -> None:
    bench = a_bench(["ok"])
    identity = SessionLlmIdentity(model="x", provider="other", provider_params=[1])
    with pytest.raises(InvalidParams, match="provider_params"):
        bench.agent.swap(ScriptedLlm([]), identity)
    assert bench.agent.model == "scripted"
    assert (await bench.agent.run("go")).text == "ok"


async def test_a_swap_while_a_call_hangs_leaves_that_call_alone() -> None:
    bench = a_bench([say("half") & hang()])
    run = asyncio.create_task(bench.agent.run("go"))
    for _ in range(3):
        await asyncio.sleep(0)
    second = ScriptedLlm(["next"])
    bench.agent.swap(second, SessionLlmIdentity(model="m", provider="other"))
    await asyncio.sleep(0)
    assert not run.done()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (await bench.agent.run("again")).text == "next"


@pytest.mark.virtual_only
async def test_a_call_that_is_made_again_after_a_swap_goes_to_the_new_model() -> None:
    second = ScriptedLlm(["saved"])
    bench = a_bench([fail(retryable=True)])
    run = asyncio.create_task(bench.agent.run("go"))
    await asyncio.sleep(0.1)
    bench.agent.swap(second, SessionLlmIdentity(model="m", provider="other"))
    assert (await run).text == "saved"


async def test_what_joins_a_run_is_answered_in_it() -> None:
    """Behind the results of tools, and also when the model had nothing more to call."""
    session = Session()
    bench = a_bench([call("echo"), say("one"), say("two")], a_tool_that_echoes(), context=session)
    session.transcript, session.joining = bench.transcript, ["also this", "and that"]
    result = await bench.agent.run("go")
    said = [text_of_message(m) for m in bench.transcript.view() if isinstance(m, UserMessage)]
    assert said == ["go", "also this", "and that"]
    assert (result.text, result.turns) == ("two", 3)


async def test_nothing_joins_a_run_that_has_no_turn_left() -> None:
    session = Session()
    bench = a_bench([say("one")], max_turns=1, context=session)
    session.transcript, session.joining = bench.transcript, ["too late"]
    assert (await bench.agent.run("go")).text == "one"
    assert session.joining == ["too late"]
