"""What model clients cost: events from bytes, ours from events, a long history as a request.

python -m benchmarks.models [rounds]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import msgspec

from benchmarks.figures import Figure, compared, take_turns, tell
from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Message,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from meerkat_mob.core.transcript import View
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.dialect import Dialect
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.failures import Server
from meerkat_mob.llm.sse import SseDecoder
from meerkat_mob.llm.written import Written

DELTAS, MESSAGES, STEP, BLOCK = 2_000, 1_000, 4, 16_384
SERVER = Server(url="http://here", provider="x")
TEXT = "A remark of some length, as a model or a person makes it when there is something to say. "


def _chat(word: str) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}


def _responses(word: str) -> Json:
    return {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": word,
    }


def _anthropic(word: str) -> Json:
    delta = {"type": "text_delta", "text": word}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _gemini(word: str) -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": word}]}}]}


SAYING = {"anthropic": _anthropic, "chat": _chat, "gemini": _gemini, "responses": _responses}
BEGUN: Json = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}


def events_in(dialect: Dialect) -> list[str]:
    """Very many words, one in each event."""
    words: list[Json] = [SAYING[dialect.name](f"word{n} ") for n in range(DELTAS)]
    begun = [BEGUN] if dialect.name == "anthropic" else []
    return [msgspec.json.encode(one).decode() for one in (*begun, *words)]


def a_history(messages: int = MESSAGES) -> Sequence[Message]:
    """What was asked, called, found and answered, over and over."""
    found: list[Message] = []
    for n in range(messages // 4):
        args = encode_arguments({"host": f"web-{n}", "lines": 10})
        use = ToolUse(data=ToolUseData(id=f"call_{n}", name="look", args=args))
        said = AssistantText(data=TextData(text=TEXT))
        found += [
            UserMessage(content=TEXT * 3),
            AssistantMessage(blocks=(said, use), stop_reason="tool_use"),
            ToolResults(results=(ToolResult(tool_use_id=f"call_{n}", content=TEXT * 8),)),
            AssistantMessage(blocks=(said,), stop_reason="end_turn"),
        ]
    return found


async def sse(rounds: int) -> Figure:
    """Events out of bytes, beside a bare split of the same bytes."""
    stream = b"".join(f"data: {data}\n\n".encode() for data in events_in(DIALECTS["chat"]))
    blocks = [stream[n : n + BLOCK] for n in range(0, len(stream), BLOCK)]

    async def floor() -> None:
        for block in blocks:
            block.split(b"\n\n")

    async def ours() -> None:
        decoder = SseDecoder()
        for block in blocks:
            decoder.feed(block)

    bare, spent = await take_turns(rounds, floor, ours)
    what = f"{len(stream) // 1000:,} kB of server-sent events / bytes.split"
    return compared(what, spent, bare, aim=25)


async def deltas(dialect: Dialect, rounds: int) -> Figure:
    """Our events out of a provider's, beside a bare decoding of its JSON."""
    events = events_in(dialect)

    async def floor() -> None:
        for data in events:
            msgspec.json.decode(data)

    async def ours() -> None:
        decoder = dialect.translation().decoder(SERVER, salt="")
        for data in events:
            for _ in decoder.feed(data):
                pass

    bare, spent = await take_turns(rounds, floor, ours)
    return compared(f"{DELTAS:,} deltas, {dialect.name} / decoding their JSON", spent, bare, aim=4)


async def requests(dialect: Dialect, rounds: int) -> Figure:
    """The requests of a session as it grows, beside encoding all its messages for each of them."""
    count, history = MESSAGES, a_history(MESSAGES + STEP * (rounds + 1))
    written, ends = Written(), iter(range(count, len(history) + 1, STEP))
    body = dialect.translation().body
    body(LlmRequest(model="m", messages=View(history, count), written=written))

    async def floor() -> None:
        msgspec.json.encode(history[:count])

    async def ours() -> None:
        nonlocal count
        count = next(ends)
        body(LlmRequest(model="m", messages=View(history, count), written=written))

    spent, bare = await take_turns(rounds, ours, floor)
    what = f"the next request after {MESSAGES:,} messages, {dialect.name} / encoding all"
    return compared(what, spent, bare, aim=1.5)


async def first_requests(dialect: Dialect, rounds: int) -> Figure:
    """The first request with a long history, beside encoding the same messages."""
    history = a_history()
    request, body = LlmRequest(model="m", messages=history), dialect.translation().body

    async def floor() -> None:
        msgspec.json.encode(history)

    async def ours() -> None:
        body(request)

    bare, spent = await take_turns(rounds, floor, ours)
    what = f"the first with {MESSAGES:,} messages, {dialect.name} / encoding them"
    return compared(what, spent, bare, aim=10)


async def all_figures(rounds: int) -> list[Figure]:
    """All of them, one after another."""
    found = [await sse(rounds)]
    for dialect in DIALECTS.values():
        found += [
            await deltas(dialect, rounds),
            await requests(dialect, rounds),
            await first_requests(dialect, rounds),
        ]
    return found


def main() -> None:
    """Print the ratios."""
    tell(asyncio.run(all_figures(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))


if __name__ == "__main__":
    main()
