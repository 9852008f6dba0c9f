"""Every event of the Responses API, written by hand, and whole streams made of them. No tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantText,
    OpenAiMeta,
    Reasoning,
    TextData,
    ToolUse,
    ToolUseData,
)
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import Assembled, Assembler, LlmEvent
from meerkat_mob.llm.failures import Server
from meerkat_mob.llm.responses import ResponseDecoder

SERVER = Server(url="http://here/v1/responses", provider="openai")
USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 3},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}
TOLD = Usage(input_tokens=11, output_tokens=5, cache_creation_tokens=3, cache_read_tokens=8)

Event = dict[str, Any]


def response(status: str | None = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "model": "gpt-5.2",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [{"type": "web_search"}],
        "error": None,
        "incomplete_details": None,
        "usage": None,
        **more,
    }


def event(kind: str, **fields: Any) -> Event:
    return {"type": kind, "sequence_number": 7, **fields}


def at(index: int, **fields: Any) -> dict[str, Any]:
    return {"output_index": index, "item_id": f"item_{index}", **fields}


def added(index: int, item: dict[str, Any]) -> Event:
    return event("response.output_item.added", output_index=index, item=item)


def done(index: int, item: dict[str, Any]) -> Event:
    return event("response.output_item.done", output_index=index, item=item)


def completed(**more: Any) -> Event:
    told: dict[str, Any] = {"usage": USAGE, **more}
    return event("response.completed", response=response("completed", **told))


def cut(reason: str | None, **more: Any) -> Event:
    told = response("incomplete", usage=USAGE, incomplete_details={"reason": reason}, **more)
    return event("response.incomplete", response=told)


# -- items, whole --------------------------------------------------------------------------------


def message(index: int, *parts: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"item_{index}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(parts),
    }


def words(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def call(
    index: int, name: str = "look", args: str = "{}", status: str = "completed", **more: Any
) -> dict[str, Any]:
    told = {"id": f"item_{index}", "call_id": f"call_{index}", "name": name}
    return {"type": "function_call", **told, "arguments": args, "status": status, **more}


def thought(
    index: int, *summary: str, sealed: str | None = "gAAA", shown: str = ""
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": f"item_{index}",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in summary],
        "encrypted_content": sealed,
    }
    if shown:
        item["content"] = [{"type": "reasoning_text", "text": shown}]
    return item


def search(index: int) -> dict[str, Any]:
    action = {"type": "search", "query": "otters", "sources": [{"type": "url", "url": "http://o"}]}
    return {
        "id": f"item_{index}",
        "type": "web_search_call",
        "status": "completed",
        "action": action,
    }


# -- items, as they are streamed -----------------------------------------------------------------


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def say(index: int, text: str) -> list[Event]:
    place = at(index, content_index=0)
    return [
        added(index, message(index, status="in_progress")),
        event("response.content_part.added", **place, part=words("")),
        *(
            event("response.output_text.delta", **place, delta=delta, logprobs=[])
            for delta in pieces(text)
        ),
        event("response.output_text.done", **place, text=text, logprobs=[]),
        event("response.content_part.done", **place, part=words(text)),
        done(index, message(index, words(text))),
    ]


def refuse(index: int, text: str) -> list[Event]:
    place = at(index, content_index=0)
    return [
        added(index, message(index, status="in_progress")),
        event("response.content_part.added", **place, part=refusal("")),
        *(event("response.refusal.delta", **place, delta=delta) for delta in pieces(text)),
        event("response.refusal.done", **place, refusal=text),
        event("response.content_part.done", **place, part=refusal(text)),
        done(index, message(index, refusal(text))),
    ]


def think(index: int, *summary: str, sealed: str | None = "gAAA") -> list[Event]:
    events = [added(index, thought(index, sealed="gA" if sealed else None))]
    for number, text in enumerate(summary):
        place = at(index, summary_index=number)
        part = {"type": "summary_text", "text": ""}
        events += [
            event("response.reasoning_summary_part.added", **place, part=part),
            *(
                event("response.reasoning_summary_text.delta", **place, delta=delta)
                for delta in pieces(text)
            ),
            event("response.reasoning_summary_text.done", **place, text=text),
            event("response.reasoning_summary_part.done", **place, part={**part, "text": text}),
        ]
    return [*events, done(index, thought(index, *summary, sealed=sealed))]


def think_aloud(index: int, text: str) -> list[Event]:
    place = at(index, content_index=0)
    part = {"type": "reasoning_text", "text": ""}
    return [
        added(index, thought(index, sealed=None)),
        event("response.content_part.added", **place, part=part),
        *(event("response.reasoning_text.delta", **place, delta=delta) for delta in pieces(text)),
        event("response.reasoning_text.done", **place, text=text),
        event("response.content_part.done", **place, part={**part, "text": text}),
        done(index, thought(index, sealed=None, shown=text)),
    ]


def use(index: int, name: str = "look", args: str = "{}") -> list[Event]:
    deltas = (
        event("response.function_call_arguments.delta", **at(index), delta=delta)
        for delta in pieces(args)
    )
    return [
        added(index, call(index, name, "", "in_progress")),
        *deltas,
        event("response.function_call_arguments.done", **at(index), arguments=args),
        done(index, call(index, name, args)),
    ]


def look_up(index: int) -> list[Event]:
    return [
        added(index, {**search(index), "status": "in_progress"}),
        *(
            event(f"response.web_search_call.{step}", **at(index))
            for step in ("in_progress", "searching", "completed")
        ),
        done(index, search(index)),
    ]


def stream(*items: Sequence[Event], end: Event | None = None) -> list[Event]:
    """A response from its beginning to its end."""
    begun = [
        event(f"response.{step}", response=response("in_progress"))
        for step in ("created", "in_progress")
    ]
    return [*begun, *(one for item in items for one in item), end or completed()]


# -- what we make of them ------------------------------------------------------------------------


def heard(events: Sequence[Event | str]) -> Iterator[LlmEvent]:
    decoder = ResponseDecoder(SERVER, salt="9")
    for one in events:
        yield from decoder.feed(one if isinstance(one, str) else msgspec.json.encode(one).decode())
    yield from decoder.finish()


def answer(*events: Event | str) -> Assembled:
    assembler = Assembler()
    for one in heard(events):
        assembler.feed(one)
    return assembler.finish()


def text(told: str) -> AssistantBlock:
    return AssistantText(data=TextData(text=told))


def reasoned(told: str, index: int | None = None, sealed: str | None = None) -> AssistantBlock:
    if index is None:
        return Reasoning(data=TextData(text=told))
    encrypted = msgspec.UNSET if sealed is None else sealed
    meta = OpenAiMeta(id=f"item_{index}", encrypted_content=encrypted)
    return Reasoning(data=TextData(text=told, meta=meta))


def used(index: int, name: str = "look", args: str = "{}") -> AssistantBlock:
    raw = msgspec.Raw(args.encode())
    return ToolUse(data=ToolUseData(id=f"call_{index}", name=name, args=raw))
