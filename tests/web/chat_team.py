"""A model server on loopback that plays a team of two: it calls tools, and streams.

It speaks chat completions, and Anthropic's dialect where it is asked for messages. It reads from
each request whose turn it is, keeps no state, and knows whom it lets in.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.llm.anthropic import kit
from tests.llm.loopback_server import event


class ChatTeam(ThreadingHTTPServer):
    """``asked`` holds path, key and body of each request; ``cors``: it lets pages in."""

    def __init__(self, *, cors: bool) -> None:
        super().__init__(("127.0.0.1", 0), Chat)
        self.cors = cors
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def base_url(self) -> str:
        """What a person would type."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class Chat(BaseHTTPRequestHandler):
    """Answers in the dialect it is asked in."""

    @property
    def team(self) -> ChatTeam:
        """The server, as what it is."""
        assert isinstance(self.server, ChatTeam)
        return self.server

    def do_OPTIONS(self) -> None:
        """The question that a browser asks first."""
        self._begin(204)

    def do_POST(self) -> None:
        """One model call."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["authorization"] or self.headers["x-api-key"]
        self.team.asked.append((self.path, key, body))
        self._begin(200)
        if self.path.endswith("/messages"):
            self.wfile.write(b"".join(map(event, in_messages(body["messages"]))))
            return
        for delta in deltas(body["messages"]):
            self._send({"choices": [{"index": 0, "delta": delta}]})
        nothing: dict[str, str] = {}
        self._send({"choices": [{"index": 0, "delta": nothing, "finish_reason": "stop"}]})
        self._send({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/event-stream")
        if self.team.cors:
            self.send_header("access-control-allow-origin", "*")
            self.send_header("access-control-allow-headers", "authorization, *")
        self.end_headers()

    def _send(self, chunk: object) -> None:
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Be quiet."""


def deltas(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said next in a conversation."""
    last = messages[-1]
    text = str(last["content"])
    if last["role"] == "tool":
        return [{"content": "I wait."}]
    if "COMMS MESSAGE from pair/lead" in text:
        return [calling("lead", "It is done.")]
    if "COMMS MESSAGE from pair/worker" in text:
        return [{"content": "The **model** "}, {"content": "says: done."}]
    return [{"content": "Let me see. "}, calling("worker", "Please do it.")]


def in_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same as events of Anthropic's, whose results of tools stand in messages of the user."""
    content: str | list[dict[str, Any]] = messages[-1]["content"]
    block = {"type": "text", "text": content} if isinstance(content, str) else content[-1]
    role = "tool" if block["type"] == "tool_result" else "user"
    parts: list[list[dict[str, Any]]] = []
    for told in deltas([{"role": role, "content": str(block)}]):
        if "content" in told:
            parts.append(kit.say(len(parts), told["content"]))
        for call in told.get("tool_calls", ()):
            named = call["function"]
            parts.append(kit.use(len(parts), named["name"], named["arguments"]))
    calls = any(part[0]["content_block"]["type"] == "tool_use" for part in parts)
    return kit.stream(*parts, end=kit.ended("tool_use" if calls else "end_turn"))


def calling(to: str, body: str) -> dict[str, Any]:
    """A tool call in one piece."""
    arguments = json.dumps({"to": to, "body": body})
    function = {"name": "send_message", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}


@contextmanager
def serving(*, cors: bool = True) -> Generator[ChatTeam, None, None]:
    """A server until the end of the block."""
    server = ChatTeam(cors=cors)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
