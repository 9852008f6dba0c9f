"""Hooks: in which order they are asked, what they may do, and what becomes of it (4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.events import (
    HookFailed,
    HookRewriteApplied,
    RunCompleted,
    TextComplete,
    ToolExecutionCompleted,
)
from meerkat_mob.core.hooks import (
    PATCH_AT,
    AssistantTextPatch,
    Capability,
    Deny,
    FailurePolicy,
    Hook,
    HookAnswer,
    HookCall,
    HookPoint,
    LlmRequestPatch,
    RunResultPatch,
    ToolArgsPatch,
    ToolResultPatch,
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import AssistantMessage, text_of_message, tool_uses
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import HookDenied, InvalidParams, LlmFailed
from meerkat_mob.llm import ScriptedLlm, call, fail, say
from meerkat_mob.testing.builders import a_tool, a_tool_that_echoes
from tests.agent.kit import Bench, a_bench, open_calls

ECHO = a_tool_that_echoes()
DENIED = Deny(message="no")


class Desk:
    """Hooks that note what they were told, in the order in which they were asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, HookCall]] = []

    def hook(
        self,
        point: HookPoint,
        answer: HookAnswer | Callable[[HookCall], Awaitable[HookAnswer]] = None,
        *,
        name: str = "",
        capability: Capability | None = None,
        priority: int = 100,
        policy: FailurePolicy | None = None,
    ) -> Hook:
        known = name or point

        async def run(told: HookCall) -> HookAnswer:
            self.calls.append((known, told))
            return await answer(told) if callable(answer) else answer

        if capability is None:
            changes = answer is not None and not isinstance(answer, Deny) and not callable(answer)
            capability = "rewrite" if changes else "observe" if answer is None else "guardrail"
        hook = Hook(id=known, point=point, run=run, capability=capability, priority=priority)
        return hook if policy is None else msgspec.structs.replace(hook, failure_policy=policy)

    @property
    def asked(self) -> list[str]:
        return [name for name, _ in self.calls]


async def broken(_: HookCall) -> HookAnswer:
    raise OSError("gone")


def answers(bench: Bench) -> list[str]:
    messages = bench.transcript.view()
    return [text_of_message(m) for m in messages if isinstance(m, AssistantMessage)]


# -- where they are asked ----------------------------------------------------------------------


async def test_each_point_is_asked_in_the_order_of_a_run() -> None:
    desk = Desk()
    points: tuple[HookPoint, ...] = (*PATCH_AT, "run_started", "run_failed", "turn_boundary")
    hooks = [desk.hook(point) for point in points]
    bench = a_bench([call("echo", n=1) & say("hm"), "done"], ECHO, hooks=hooks)
    assert (await bench.agent.run("go")).text == "done"
    assert desk.asked == [
        "run_started",
        "pre_llm_request",
        "post_llm_response",
        "pre_tool_execution",
        "post_tool_execution",
        "turn_boundary",
        "pre_llm_request",
        "post_llm_response",
        "turn_boundary",
        "run_completed",
    ]
    told = dict(desk.calls)
    assert told["run_started"].prompt == "go"
    assert told["pre_tool_execution"].tool_call is not msgspec.UNSET
    assert told["pre_tool_execution"].tool_call.args == {"n": 1}
    assert told["post_tool_execution"].tool_result is not msgspec.UNSET
    assert told["post_tool_execution"].tool_result.content == '{"n":1}'
    assert told["run_completed"].text == "done"
    assert [told.turn_number for name, told in desk.calls if name == "turn_boundary"] == [0, 1]


async def test_a_run_that_fails_is_told_and_nothing_changes_that() -> None:
    """8.5: an error of the model; and the hook's own is only told."""
    desk = Desk()
    hooks = [
        desk.hook("run_failed", DENIED, name="no"),
        desk.hook("run_failed", broken, name="broken", capability="guardrail", priority=1),
    ]
    bench = a_bench([fail("no such model")], hooks=hooks)
    with pytest.raises(LlmFailed):
        await bench.agent.run("go")
    assert desk.asked == ["broken"]
    assert bench.kinds[-1] == "run_failed"


async def test_priority_then_the_order_in_which_they_were_given() -> None:
    """HK-2: not the order in which they end."""
    desk = Desk()

    async def slow(_: HookCall) -> HookAnswer:
        await asyncio.sleep(0)
        return None

    hooks = [
        desk.hook("run_started", name="b"),
        desk.hook("run_started", slow, name="a", capability="observe", priority=1),
        desk.hook("run_started", name="c"),
    ]
    bench = a_bench(["done"], hooks=hooks)
    await bench.agent.run("go")
    assert desk.asked == ["a", "b", "c"]


# -- denials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "kinds"),
    [
        ("run_started", ["run_started", "run_failed"]),
        ("pre_llm_request", ["run_started", "run_failed"]),
        ("post_llm_response", ["run_started", "turn_started", "run_failed"]),
        ("turn_boundary", ["run_started", "turn_started", "text_complete", "run_failed"]),
        (
            "run_completed",
            ["run_started", "turn_started", "text_complete", "turn_completed", "run_failed"],
        ),
    ],
)
async def test_a_denial_ends_the_run_where_it_stands(point: HookPoint, kinds: list[str]) -> None:
    """8.5: at a boundary no turn_completed, at the end no run_completed."""
    desk = Desk()
    behind = desk.hook(point, name="behind", priority=200)
    bench = a_bench(ScriptedLlm(lambda _: say("done")), hooks=[desk.hook(point, DENIED), behind])
    with pytest.raises(HookDenied) as denied:
        await bench.agent.run("go")
    assert (denied.value.point, denied.value.why) == (point, "no")
    assert [kind for kind in bench.kinds if not kind.startswith("hook_")] == kinds
    assert "behind" not in desk.asked
    assert len(bench.ends) == 1


async def test_a_denied_call_is_not_run_and_its_model_reads_why() -> None:
    ran: list[str] = []

    async def note(given: ToolCall) -> ToolOutcome:
        ran.append(given.id)
        return ToolOutcome(content="ran")

    async def not_twice(told: HookCall) -> HookAnswer:
        assert told.tool_call is not msgspec.UNSET
        if told.tool_call.args == {"n": 2}:
            return Deny(message="once", reason_code="safety_violation", payload={"limit": 1})
        return None

    hook = Desk().hook("pre_tool_execution", not_twice)
    script = ScriptedLlm([call("note", n=1) & call("note", n=2), "done"])
    bench = a_bench(script, a_tool("note", note), hooks=[hook])
    assert (await bench.agent.run("go")).text == "done"
    first, second = bench.results
    assert (first.content, ran) == ("ran", [first.tool_use_id])
    assert msgspec.json.decode(str(second.content)) == {
        "error": "hook_denied",
        "reason_code": "safety_violation",
        "message": "once",
        "payload": {"limit": 1},
    }
    assert second.is_error
    assert open_calls(bench.transcript) == []


async def test_a_result_that_is_denied_is_seen_by_nobody() -> None:
    bench = a_bench(
        [call("echo", secret="xyzzy"), "done"],
        ECHO,
        hooks=[Desk().hook("post_tool_execution", DENIED)],
    )
    await bench.agent.run("go")
    (result,) = bench.results
    assert "hook_denied" in str(result.content)
    (told,) = [e for e in bench.said if isinstance(e, ToolExecutionCompleted)]
    assert "xyzzy" not in told.result
    assert told.is_error


# -- changes -----------------------------------------------------------------------------------


async def test_a_request_can_be_changed_and_the_last_one_wins() -> None:
    desk = Desk()
    hooks = [
        desk.hook("pre_llm_request", LlmRequestPatch(max_tokens=7, temperature=0.5), name="a"),
        desk.hook("pre_llm_request", LlmRequestPatch(temperature=0.25), name="b"),
    ]
    script = ScriptedLlm(["done"])
    bench = a_bench(script, hooks=hooks)
    await bench.agent.run("go")
    (request,) = script.requests
    assert (request.max_tokens, request.temperature) == (7, 0.25)
    seen = desk.calls[1][1].llm_request
    assert seen is not msgspec.UNSET
    assert (seen.max_tokens, seen.temperature) == (7, 0.5)
    assert bench.kinds.count("hook_rewrite_applied") == 2


async def test_several_changes_of_one_hook_are_taken_in_their_order_and_told_one_by_one() -> None:
    changes = (LlmRequestPatch(max_tokens=7, temperature=0.5), LlmRequestPatch(max_tokens=9))
    hook = Desk().hook("pre_llm_request", changes)
    script = ScriptedLlm(["done"])
    bench = a_bench(script, hooks=[hook])
    await bench.agent.run("go")
    (request,) = script.requests
    assert (request.max_tokens, request.temperature) == (9, 0.5)
    assert [e.patch for e in bench.said if isinstance(e, HookRewriteApplied)] == list(changes)


@pytest.mark.parametrize("wrong", [Deny(message="no"), AssistantTextPatch(text="x"), 5])
async def test_of_several_changes_all_are_taken_or_none(wrong: object) -> None:
    answer = cast("HookAnswer", (LlmRequestPatch(max_tokens=7), wrong))
    hook = Desk().hook("pre_llm_request", answer, capability="rewrite", policy="fail_open")
    script = ScriptedLlm(["done"])
    bench = a_bench(script, hooks=[hook])
    await bench.agent.run("go")
    assert script.requests[0].max_tokens == 4096
    assert [type(e) for e in bench.said if isinstance(e, HookFailed)] == [HookFailed]


async def test_what_the_model_said_can_be_changed_before_anybody_keeps_it() -> None:
    hook = Desk().hook("post_llm_response", AssistantTextPatch(text="***"))
    bench = a_bench([call("echo", n=1) & say("secret"), "secret"], ECHO, hooks=[hook])
    assert (await bench.agent.run("go")).text == "***"
    assert answers(bench) == ["***", "***"]
    assert [e.content for e in bench.said if isinstance(e, TextComplete)] == ["***", "***"]
    assert len(bench.results) == 1  # the call stays


async def test_changed_arguments_are_those_that_are_run_and_kept() -> None:
    hook = Desk().hook("pre_tool_execution", ToolArgsPatch(args={"n": 9}))
    bench = a_bench([call("echo", n=1), "done"], ECHO, hooks=[hook])
    await bench.agent.run("go")
    (result,) = bench.results
    assert result.content == '{"n":9}'
    (use,) = [use for message in bench.transcript.view() for use in tool_uses(message)]
    assert bytes(use.args) == b'{"n":9}'


async def test_the_text_of_a_result_can_be_changed_and_its_images_stay() -> None:
    image = ImageBlock(media_type="image/png", source="blob", blob_id="sha256:00")

    async def show(_: ToolCall) -> ToolOutcome:
        return ToolOutcome(content=(TextBlock(text="secret"), image))

    hook = Desk().hook("post_tool_execution", ToolResultPatch(content="***", is_error=True))
    bench = a_bench([call("show"), "done"], a_tool("show", show), hooks=[hook])
    await bench.agent.run("go")
    (result,) = bench.results
    assert (result.content, result.is_error) == ((TextBlock(text="***"), image), True)


async def test_the_text_of_the_run_is_that_of_its_last_answer() -> None:
    """4.3: also in the transcript, and in the event."""
    hook = Desk().hook("run_completed", RunResultPatch(text="final"))
    bench = a_bench([call("echo", n=1) & say("first"), "draft"], ECHO, hooks=[hook])
    assert (await bench.agent.run("go")).text == "final"
    assert answers(bench) == ["first", "final"]
    (end,) = bench.ends
    assert isinstance(end, RunCompleted)
    assert end.result == "final"


async def test_a_run_that_said_nothing_changes_nothing_that_was_said_before() -> None:
    hook = Desk().hook("run_completed", RunResultPatch(text="final"))
    bench = a_bench(["one", ""], hooks=[])
    await bench.agent.run("go")
    silent = a_bench([""], hooks=[hook])
    silent.transcript.restore(bench.transcript)
    assert (await silent.agent.run("on")).text == "final"
    assert answers(silent)[0] == "one"


@pytest.mark.virtual_only
async def test_an_interrupt_while_a_failure_is_told_leaves_the_run_with_its_end() -> None:
    async def hang(_: HookCall) -> HookAnswer:
        await asyncio.Event().wait()
        return None

    bench = a_bench([fail("no such model")], hooks=[Desk().hook("run_failed", hang)])
    run = asyncio.create_task(bench.agent.run("go"))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bench.kinds[-1] == "run_failed"


# -- failures of hooks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "policy", "passes"),
    [
        ("observe", None, True),
        ("guardrail", None, False),
        ("rewrite", None, False),
        ("observe", "fail_closed", False),
        ("guardrail", "fail_open", True),
        ("rewrite", "fail_open", True),
    ],
)
async def test_a_hook_that_breaks_lets_pass_or_denies(
    capability: Capability, policy: FailurePolicy | None, passes: bool
) -> None:
    """HK-3."""
    hook = Desk().hook("pre_llm_request", broken, capability=capability, policy=policy)
    bench = a_bench(ScriptedLlm(lambda _: say("done")), hooks=[hook])
    if passes:
        assert (await bench.agent.run("go")).text == "done"
    else:
        with pytest.raises(HookDenied) as denied:
            await bench.agent.run("go")
        assert denied.value.reason_code == "runtime_error"
    (told,) = [e for e in bench.said if isinstance(e, HookFailed)]
    assert told.error == "OSError: gone"


@pytest.mark.virtual_only
async def test_a_hook_that_hangs_is_cut_off() -> None:
    async def hang(_: HookCall) -> HookAnswer:
        await asyncio.Event().wait()
        return None

    hook = Desk().hook("run_started", hang, capability="guardrail")
    bench = a_bench([], hooks=[hook])
    with pytest.raises(HookDenied) as denied:
        await bench.agent.run("go")
    assert denied.value.reason_code == "timeout"
    assert asyncio.get_running_loop().time() == 5


@pytest.mark.virtual_only
async def test_an_interrupt_during_a_hook_is_an_interrupt() -> None:
    async def hang(_: HookCall) -> HookAnswer:
        await asyncio.Event().wait()
        return None

    hook = Desk().hook("post_tool_execution", hang)
    bench = a_bench([call("echo", n=1)], ECHO, hooks=[hook])
    run = asyncio.create_task(bench.agent.run("go"))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    (result,) = bench.results
    assert result.is_error  # nobody let the result through
    assert '"cancelled"' in str(result.content)


@pytest.mark.parametrize(
    ("capability", "answer"),
    [
        ("observe", DENIED),
        ("observe", AssistantTextPatch(text="x")),
        ("guardrail", AssistantTextPatch(text="x")),
        ("rewrite", ToolArgsPatch(args={})),
    ],
)
async def test_a_hook_may_do_what_its_capability_says_and_no_more(
    capability: Capability, answer: HookAnswer
) -> None:
    hook = Desk().hook("post_llm_response", answer, capability=capability, policy="fail_open")
    bench = a_bench(["done"], hooks=[hook])
    assert (await bench.agent.run("go")).text == "done"
    assert [type(e) for e in bench.said if isinstance(e, HookFailed)] == [HookFailed]


BROKEN = "\ud800"


@pytest.mark.parametrize(
    ("point", "answer"),
    [
        ("post_tool_execution", ToolResultPatch(content=BROKEN)),
        ("pre_tool_execution", ToolArgsPatch(args={"a": BROKEN})),
        ("pre_tool_execution", ToolArgsPatch(args=cast("Json", object()))),
        ("pre_tool_execution", Deny(message=BROKEN)),
        ("post_llm_response", AssistantTextPatch(text=BROKEN)),
        ("post_llm_response", AssistantTextPatch(text=cast("str", 5))),
        ("run_completed", RunResultPatch(text=BROKEN)),
        ("pre_llm_request", LlmRequestPatch(max_tokens=-3)),
        ("pre_llm_request", LlmRequestPatch(temperature=float("nan"))),
    ],
)
async def test_what_nobody_could_keep_is_the_hook_s_fault(
    point: HookPoint, answer: HookAnswer
) -> None:
    """It does not break the run, nor leave a call open (INV-3)."""
    policies: tuple[FailurePolicy, ...] = ("fail_open", "fail_closed")
    for policy in policies:
        hook = Desk().hook(point, answer, capability="rewrite", policy=policy)
        script = ScriptedLlm(lambda r: "done" if len(r.messages) > 2 else call("echo", n=1))
        bench = a_bench(script, ECHO, hooks=[hook])
        with suppress(HookDenied):
            await bench.agent.run("go")
        assert isinstance(bench.ends[0], RunCompleted) or policy == "fail_closed"
        assert open_calls(bench.transcript) == []
        told = [e.error for e in bench.said if isinstance(e, HookFailed)]
        assert told
        assert "what it says cannot be kept" in told[0]


def test_hooks_that_cannot_be_are_refused_when_the_agent_is_built() -> None:
    desk = Desk()
    twice = [desk.hook("run_started", name="a"), desk.hook("run_failed", name="a")]
    with pytest.raises(InvalidParams, match="two hooks have the id 'a'"):
        a_bench([], hooks=twice)
    with pytest.raises(InvalidParams, match="cannot rewrite anything at turn_boundary"):
        a_bench([], hooks=[desk.hook("turn_boundary", capability="rewrite")])


# -- whatever they say -------------------------------------------------------------------------

POINTS: tuple[HookPoint, ...] = (*PATCH_AT, "run_started", "run_failed", "turn_boundary")
said = st.sampled_from(
    [
        None,
        DENIED,
        LlmRequestPatch(max_tokens=3),
        AssistantTextPatch(text="patched"),
        ToolArgsPatch(args={"n": 2}),
        ToolResultPatch(content="patched"),
        RunResultPatch(text="patched"),
    ]
)
capabilities: st.SearchStrategy[Capability] = st.sampled_from(["observe", "guardrail", "rewrite"])


@given(st.lists(st.tuples(st.sampled_from(POINTS), said, capabilities), max_size=6))
async def test_whatever_hooks_say_the_transcript_and_the_events_are_in_order(
    spoken: list[tuple[HookPoint, HookAnswer, Capability]],
) -> None:
    """INV-3, INV-7."""
    desk = Desk()
    hooks = [
        desk.hook(point, answer, name=f"h{n}", capability=capability, policy="fail_open")
        for n, (point, answer, capability) in enumerate(spoken)
        if capability != "rewrite" or point in PATCH_AT
    ]
    script = ScriptedLlm(lambda r: "done" if len(r.messages) > 2 else call("echo", n=1))
    bench = a_bench(script, ECHO, hooks=hooks)
    try:
        await bench.agent.run("go")
    except HookDenied:
        assert any(answer == DENIED for _, answer, _ in spoken)
    assert open_calls(bench.transcript) == []
    assert len(bench.ends) == 1
    assert bench.said[-1] is bench.ends[0]
