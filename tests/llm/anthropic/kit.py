"""Every event of the Messages stream, written by hand, and whole streams made of them. No tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from meerkat_mob.core.messages import Message
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import Assembled, Assembler, LlmEvent, LlmRequest
from meerkat_mob.llm.anthropic import MessageDecoder, request_body
from meerkat_mob.llm.dialect import Paused
from meerkat_mob.llm.failures import Server

SERVER = Server(url="http://here/v1/messages", provider="anthropic")
TOLD = Usage(input_tokens=16, output_tokens=7, cache_creation_tokens=2, cache_read_tokens=3)
USAGE = {
    "input_tokens": 11,
    "output_tokens": 1,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
}

Event = dict[str, Any]


def begun() -> Event:
    """The message begins."""
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return {"type": "message_start", "message": message}


def start(index: int, kind: str, **fields: Any) -> Event:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind, **fields},
    }


def grow(index: int, kind: str, **fields: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str = "end_turn", **usage: int) -> list[Event]:
    """Why it stopped, and that it did."""
    told = {"output_tokens": 7, **usage}
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": told}, {"type": "message_stop"}]


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def say(index: int, text: str) -> list[Event]:
    told = [grow(index, "text_delta", text=one) for one in pieces(text)]
    return [start(index, "text", text="", citations=None), *told, stop(index)]


def cite(index: int, text: str) -> list[Event]:
    """What is said, with where it is from."""
    where = {
        "type": "web_search_result_location",
        "cited_text": "so",
        "encrypted_index": "E",
        "title": "T",
        "url": "http://o",
    }
    begin, *rest = say(index, text)
    return [begin, grow(index, "citations_delta", citation=where), *rest]


def think(index: int, text: str, signature: str = "c2ln") -> list[Event]:
    told = [grow(index, "thinking_delta", thinking=one) for one in pieces(text)]
    signed = [grow(index, "signature_delta", signature=signature)] if signature else []
    begin = start(index, "thinking", thinking="", signature="")
    return [begin, *told, *signed, stop(index)]


def redacted(index: int, data: str) -> list[Event]:
    return [start(index, "redacted_thinking", data=data), stop(index)]


def use(index: int, name: str = "look", args: str = "{}") -> list[Event]:
    told = [grow(index, "input_json_delta", partial_json=one) for one in ("", *pieces(args))]
    begin = start(index, "tool_use", id=f"toolu_{index}", name=name, input={}, caller=DIRECT)
    return [begin, *told, stop(index)]


DIRECT = {"type": "direct"}


def look_up(index: int) -> list[Event]:
    """A search of the server's own, and what it found."""
    query = grow(index, "input_json_delta", partial_json='{"query":"otters"}')
    found = {
        "type": "web_search_result",
        "encrypted_content": "E",
        "page_age": None,
        "title": "T",
        "url": "http://o",
    }
    search = {"id": "srvtoolu_1", "name": "web_search", "input": {}, "caller": DIRECT}
    result = {"tool_use_id": "srvtoolu_1", "content": [found], "caller": DIRECT}
    return [
        start(index, "server_tool_use", **search),
        query,
        stop(index),
        start(index + 1, "web_search_tool_result", **result),
        stop(index + 1),
    ]


SEARCHED = (
    {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "otters"},
        "caller": DIRECT,
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "encrypted_content": "E",
                "page_age": None,
                "title": "T",
                "url": "http://o",
            }
        ],
        "caller": DIRECT,
    },
)
"""The parts of ``look_up``, whole."""


def stream(*blocks: Sequence[Event], end: Sequence[Event] | None = None) -> list[Event]:
    """A message from its beginning to its end."""
    return [begun(), *(one for block in blocks for one in block), *(end or ended())]


def told_by(events: Sequence[Event | str]) -> Iterator[LlmEvent | Paused]:
    """What the decoder makes of them."""
    decoder = MessageDecoder(SERVER, salt="9")
    for one in events:
        yield from decoder.feed(one if isinstance(one, str) else msgspec.json.encode(one).decode())
    yield from decoder.finish()


def heard(events: Sequence[Event | str]) -> Iterator[LlmEvent]:
    """The same, of an answer that comes to its end."""
    for one in told_by(events):
        assert not isinstance(one, Paused)
        yield one


def answer(*events: Event | str) -> Assembled:
    assembler = Assembler()
    for one in heard(events):
        assembler.feed(one)
    return assembler.finish()


def body(*messages: Message, model: str = "claude-opus-4-6", **more: Any) -> dict[str, Any]:
    request = LlmRequest(model=model, messages=messages, **more)
    return msgspec.json.decode(request_body(request), type=dict[str, Any])
