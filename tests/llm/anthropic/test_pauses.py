"""An answer that its server interrupts, because its own tools take long, is heard as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from meerkat_mob.core.messages import AssistantMessage
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import HttpLlm, LlmDone, LlmRequest, LlmUsage
from meerkat_mob.llm.http import PARTS
from tests.llm.anthropic.kit import (
    SEARCHED,
    Event,
    answer,
    ended,
    look_up,
    say,
    stream,
    think,
)
from tests.llm.kit import answer_of, events_of, failure_of, user
from tests.llm.loopback_server import Answer, Asked, LoopbackServer, event, saying, serving, whole

pytestmark = pytest.mark.loopback

PAUSE = ended("pause_turn")
REQUEST = LlmRequest(
    model="claude-opus-4-6", messages=(user("otters?"),), provider_params={"web_search": True}
)


def in_turn(*answers: Answer) -> Answer:
    """One answer after another; the last of them for ever."""
    left = list(answers)

    async def one(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, writer)

    return one


def streamed(events: Sequence[Event]) -> Answer:
    return saying(*map(event, events))


def asked_of(server: LoopbackServer) -> list[Any]:
    """The messages of each request."""
    return [msgspec.json.decode(asked.body)["messages"] for asked in server.asked]


async def test_it_is_gone_on_with_what_was_said_so_far_and_is_one_answer() -> None:
    first = stream(think(0, "hm"), say(1, "I look."), look_up(2), end=PAUSE)
    second = stream(look_up(0), think(2, "so"), end=PAUSE)
    third = stream(say(0, "Otters."))
    async with serving(in_turn(*map(streamed, (first, second, third)))) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        events = await events_of(client.stream(REQUEST))
        told = await answer_of(client, REQUEST)
        await client.aclose()
    usages = [one.usage for one in events if isinstance(one, LlmUsage)]
    one = Usage(input_tokens=16, output_tokens=7, cache_creation_tokens=2, cache_read_tokens=3)
    assert usages == [one, one + one, one + one + one]
    assert [one for one in events if isinstance(one, LlmDone)] == events[-1:]
    assert told.blocks == answer(*third).blocks  # the server says nothing but this any more

    begun = {"role": "user", "content": [{"type": "text", "text": "otters?"}]}
    thoughts = [
        {"type": "thinking", "thinking": text, "signature": "c2ln"} for text in ("hm", "so")
    ]
    looked = [thoughts[0], {"type": "text", "text": "I look."}, *SEARCHED]
    assert asked_of(server)[:3] == [
        [begun],
        [begun, {"role": "assistant", "content": looked}],
        [begun, {"role": "assistant", "content": [*looked, *SEARCHED, thoughts[1]]}],
    ]


async def test_what_it_said_in_parts_is_kept_as_if_it_had_said_it_at_once() -> None:
    parts = [
        stream(think(0, "hm"), say(1, "I look."), look_up(2), end=PAUSE),
        stream(say(0, "Otters.")),
    ]
    async with serving(in_turn(*map(streamed, parts))) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        told = await answer_of(client, REQUEST)
        at_once = answer(*stream(think(0, "hm"), say(1, "I look."), look_up(2), say(4, "Otters.")))
        assert (told.blocks, told.stop_reason) == (at_once.blocks, "end_turn")
        kept = AssistantMessage(blocks=told.blocks, stop_reason="end_turn")
        later = (*REQUEST.messages, kept, user("more"))
        await answer_of(client, msgspec.structs.replace(REQUEST, messages=later))
        await client.aclose()
    content = asked_of(server)[-1][1]["content"]
    assert [one["type"] for one in content] == [
        "thinking",
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]


async def test_it_goes_on_where_the_server_runs_its_code() -> None:
    where = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
    paused = {"type": "message", "content": [*SEARCHED], "stop_reason": "pause_turn"}
    body = msgspec.json.encode({**paused, "container": where}).decode()
    answers = in_turn(whole(200, "application/json", body), streamed(stream(say(0, "x"))))
    async with serving(answers) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        await answer_of(client, REQUEST)
        await client.aclose()
    first, second = (msgspec.json.decode(asked.body) for asked in server.asked)
    assert "container" not in first
    assert second["container"] == "container_1"
    assert second["tools"] == first["tools"]


async def test_one_that_never_ends_is_cut_short() -> None:
    async with serving(streamed(stream(look_up(0), end=PAUSE))) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        told = await answer_of(client, REQUEST)
        await client.aclose()
    assert told.stop_reason == "max_tokens"
    assert (len(server.asked), len(told.blocks)) == (PARTS, 2 * PARTS)


async def test_a_failure_in_a_later_part_is_the_answer_s() -> None:
    overloaded = whole(529, "application/json", '{"error":{"message":"so sorry"}}')
    async with serving(in_turn(streamed(stream(look_up(0), end=PAUSE)), overloaded)) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        failure = await failure_of(client, REQUEST)
        await client.aclose()
    assert failure.retryable
    assert "so sorry" in str(failure)
