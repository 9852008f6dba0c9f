"""What a hook in another program is told, and which of its answers are taken (HK-1, HK-5, HK-7)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.hook_wire import HookReply, decode_reply, encode_call
from meerkat_mob.core.hooks import (
    PATCH_AT,
    AssistantTextPatch,
    Deny,
    Hook,
    HookAnswer,
    HookCall,
    HookPatch,
    HookPoint,
    LlmRequestPatch,
    RunResultPatch,
    ToolArgsPatch,
    ToolResultPatch,
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import HookExecutionFailed, LlmFailed
from meerkat_mob.llm import ScriptedLlm, call, fail, say
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.agent.kit import a_bench

ECHO = a_tool_that_echoes()
POINTS: tuple[HookPoint, ...] = (*PATCH_AT, "run_started", "run_failed", "turn_boundary")
LIMIT = 131_072


# -- what is told ------------------------------------------------------------------------------


def leaves(value: Json, place: str = "") -> dict[str, Json]:
    """The values inside a value, by their places."""
    if not isinstance(value, Mapping) or not value:
        return {place: value}
    found: dict[str, Json] = {}
    for key, item in value.items():
        found |= leaves(item, f"{place}.{key}" if place else key)
    return found


async def told_in_a_run(script: ScriptedLlm) -> dict[str, dict[str, Json]]:
    """What each point is told first, as it goes over the wire."""
    told: dict[str, dict[str, Json]] = {}

    async def note(call: HookCall) -> HookAnswer:
        told.setdefault(call.point, leaves(msgspec.json.decode(encode_call(call, limit=LIMIT))))
        return None

    hooks = [Hook(id=point, point=point, run=note) for point in POINTS]
    with suppress(LlmFailed):
        await a_bench(script, ECHO, hooks=hooks).agent.run("go")
    return told


async def test_each_point_tells_exactly_the_fields_of_the_rule() -> None:
    """HK-1; and ``text`` where a run has completed, which is what a rewriter changes there."""
    told = await told_in_a_run(ScriptedLlm([call("echo", n=1) & say("hm"), "done"]))
    use_id = told["pre_tool_execution"]["tool_call.id"]
    usage = leaves(msgspec.to_builtins(Usage()), "llm_response.usage")
    assert {**told["post_llm_response"], **usage} == {
        "point": "post_llm_response",
        "session_id": "s",
        "turn_number": 0,
        "llm_response.text": "hm",
        "llm_response.tool_call_names": ["echo"],
        "llm_response.stop_reason": "tool_use",
        **usage,
    }
    more: dict[str, dict[str, Json]] = {
        "run_started": {"prompt": "go"},
        "pre_llm_request": {
            "llm_request.max_tokens": 4096,
            "llm_request.temperature": None,
            "llm_request.provider_params": {},
            "llm_request.message_count": 1,
        },
        "pre_tool_execution": {
            "tool_call.id": use_id,
            "tool_call.name": "echo",
            "tool_call.args.n": 1,
        },
        "post_tool_execution": {
            "tool_result.tool_use_id": use_id,
            "tool_result.name": "echo",
            "tool_result.content": '{"n":1}',
            "tool_result.is_error": False,
            "tool_result.has_images": False,
        },
        "turn_boundary": {},
        "run_completed": {"turn_number": 1, "text": "done"},
    }
    for point, expected in more.items():
        here = {"point": point, "session_id": "s", "turn_number": 0}
        assert told[point] == {**here, **expected}
    assert set(told) == {*more, "post_llm_response"}


async def test_a_run_that_fails_tells_its_error() -> None:
    told = (await told_in_a_run(ScriptedLlm([fail("no such model")])))["run_failed"]
    assert set(told) == {"point", "session_id", "turn_number", "error"}
    assert "no such model" in str(told["error"])


def test_what_is_told_is_never_cut_short() -> None:
    call_ = HookCall(point="run_completed", session_id="s", text="x" * 100)
    size = len(encode_call(call_, limit=LIMIT))
    assert len(encode_call(call_, limit=size)) == size
    with pytest.raises(HookExecutionFailed, match=f"told {size} bytes, and may be told {size - 1}"):
        encode_call(call_, limit=size - 1)


# -- what is answered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"{}", ()),
        (b'{"decision": null, "patches": []}', ()),
        (b'{"decision": {"decision": "allow"}}', ()),
        (b'{"decision": {"decision": "deny", "message": "no"}}', Deny(message="no")),
        (
            (
                b'{"decision": {"decision": "deny", "message": "no", "reason_code": "timeout",'
                b' "payload": [1], "hook_id": "as upstream has it"}}'
            ),
            Deny(message="no", reason_code="timeout", payload=[1]),
        ),
        (
            b'{"patches": [{"patch_type": "llm_request", "max_tokens": 7, "temperature": null}]}',
            (LlmRequestPatch(max_tokens=7),),
        ),
        (
            (
                b'{"patches": [{"patch_type": "assistant_text", "text": "a"},'
                b' {"patch_type": "assistant_text", "text": "b"}]}'
            ),
            (AssistantTextPatch(text="a"), AssistantTextPatch(text="b")),
        ),
    ],
)
def test_answers_that_are_taken(raw: bytes, answer: HookAnswer) -> None:
    assert decode_reply(raw, "rewrite") == answer


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"no", "this is not JSON"),
        (b"[]", "answer: expected a table, found a list"),
        (b'{"decision": "deny"}', "answer.decision: expected a table"),
        (b'{"decision": {"decision": "den", "message": "no"}}', "did you mean 'deny'?"),
        (b'{"decision": {"decision": "deny"}}', "answer.decision.message: 'message' is missing"),
        (b'{"decision": {"message": "no"}}', "answer.decision.decision: 'decision' is missing"),
        (b'{"desicion": {}}', "answer.desicion: unknown key 'desicion'"),
        (b'{"patches": [{"patch_type": "tool_args"}]}', "answer.patches[0].args"),
        (
            b'{"patches": [{"patch_type": "llm_request", "max_tokens": 0}]}',
            "answer.patches[0].max_tokens: expected an integer of at least 1",
        ),
        (
            (
                b'{"decision": {"decision": "deny", "message": "no"},'
                b' "patches": [{"patch_type": "run_result", "text": "x"}]}'
            ),
            "answer.patches: a denial changes nothing",
        ),
        (b'{"patches":' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper than 192"),
        (b'{"patches": [{"patch_type": "run_result", "text": "\xff"}]}', "can't decode byte 0xff"),
    ],
)
def test_a_wrong_answer_is_told_with_its_place(raw: bytes, place: str) -> None:
    with pytest.raises(HookExecutionFailed) as failed:
        decode_reply(raw, "rewrite")
    assert place in str(failed.value)


def test_only_an_observer_may_say_nothing() -> None:
    """A guardrail whose program breaks off quietly has not let anything pass."""
    assert decode_reply(b" \n", "observe") is None
    for capability in ("guardrail", "rewrite"):
        with pytest.raises(HookExecutionFailed):
            decode_reply(b" \n", capability)


texts = st.text(max_size=5)
patches: st.SearchStrategy[HookPatch] = st.one_of(
    st.builds(LlmRequestPatch, max_tokens=st.integers(1, 9), temperature=st.floats(0, 2)),
    st.builds(AssistantTextPatch, text=texts),
    st.builds(ToolArgsPatch, args=st.dictionaries(texts, st.integers(-9, 9), max_size=3)),
    st.builds(ToolResultPatch, content=texts, is_error=st.booleans()),
    st.builds(RunResultPatch, text=texts),
)
replies = st.one_of(
    st.builds(HookReply, patches=st.lists(patches, max_size=3).map(tuple)),
    st.builds(HookReply, decision=st.builds(Deny, message=texts, payload=st.none() | texts)),
)


@given(replies)
def test_every_answer_that_can_be_written_is_read_as_it_was_meant(reply: HookReply) -> None:
    meant = reply.decision if isinstance(reply.decision, Deny) else reply.patches
    assert decode_reply(msgspec.json.encode(reply), "rewrite") == meant


@given(st.binary(max_size=40) | replies.map(msgspec.json.encode).map(lambda raw: raw[:-2]))
def test_whatever_is_answered_it_is_taken_or_told(raw: bytes) -> None:
    with suppress(HookExecutionFailed):
        decode_reply(raw, "observe")


# -- arguments that no call can have -----------------------------------------------------------


@pytest.mark.parametrize("args", [5, [1], {"a": float("1e300"), "b": "x"}, "deep"])
async def test_arguments_that_no_call_can_have_are_the_hook_s_fault(args: Json) -> None:
    if args == "deep":
        nested: Json = 1
        for _ in range(150):
            nested = [nested]
        args = {"a": nested}

    async def change(_: HookCall) -> HookAnswer:
        return ToolArgsPatch(args=args)

    hook = Hook(id="h", point="pre_tool_execution", run=change, capability="rewrite")
    bench = a_bench([call("echo", n=1), "done"], ECHO, hooks=[hook])
    assert (await bench.agent.run("go")).text == "done"
    fits = isinstance(args, dict) and "b" in args
    assert ("hook_failed" in bench.kinds) is not fits
