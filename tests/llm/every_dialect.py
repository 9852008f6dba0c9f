"""The same answer in each dialect, as its servers stream it. No tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from tests.llm.anthropic import kit as anthropic
from tests.llm.gemini import kit as gemini
from tests.llm.loopback_server import event
from tests.llm.responses import kit as responses

EVERY: Sequence[DialectName] = sorted(DIALECTS)
HELLO = "naïve 漢字 😀"


def _chat(text: str, tool: str) -> list[dict[str, Any]]:
    call = {"index": 0, "id": "c", "function": {"name": tool, "arguments": '{"at":1}'}}
    deltas: list[dict[str, Any]] = [{"content": text}, {"tool_calls": [call]}]
    last: dict[str, Any] = {"delta": {}, "finish_reason": "tool_calls"}
    return [*({"choices": [{"delta": one}]} for one in deltas), {"choices": [last]}]


def events_in(dialect: DialectName) -> list[bytes]:
    """A text and a call, in each dialect's own way."""
    return calling(dialect, "look")


def calling(dialect: DialectName, tool: str) -> list[bytes]:
    """The same, of a tool of this name."""
    args = '{"at":1}'
    told: Mapping[DialectName, list[dict[str, Any]]] = {
        "anthropic": anthropic.stream(
            anthropic.say(0, HELLO),
            anthropic.use(1, tool, args),
            end=anthropic.ended("tool_use"),
        ),
        "chat": _chat(HELLO, tool),
        "gemini": [
            gemini.piece(gemini.text(HELLO)),
            gemini.piece(gemini.call(tool, {"at": 1}), finish="STOP"),
        ],
        "responses": responses.stream(responses.say(0, HELLO), responses.use(1, tool, args)),
    }
    return [*map(event, told[dialect]), *([event("[DONE]")] if dialect == "chat" else [])]


def words_in(dialect: DialectName) -> list[bytes]:
    """The text alone, with which an answer ends."""
    done: dict[str, Any] = {"delta": {}, "finish_reason": "stop"}
    told: Mapping[DialectName, list[dict[str, Any]]] = {
        "anthropic": anthropic.stream(anthropic.say(0, HELLO), end=anthropic.ended("end_turn")),
        "chat": [{"choices": [{"delta": {"content": HELLO}}]}, {"choices": [done]}],
        "gemini": [gemini.piece(gemini.text(HELLO)), gemini.piece(finish="STOP")],
        "responses": responses.stream(responses.say(0, HELLO)),
    }
    return [*map(event, told[dialect]), *([event("[DONE]")] if dialect == "chat" else [])]
