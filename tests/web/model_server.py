"""A chat-completions server on loopback for a page: it streams by hand, with or without CORS.

It sends its second piece only when the page has told it that the first one arrived, so that an
answer which is not really streamed never ends well.
"""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

PATIENCE_S = 10.0
"""How long it waits for the page. Only a test that fails waits that long."""


class ModelServer(ThreadingHTTPServer):
    """What it was asked, whether the page saw the first piece, and whether it hung up.

    ``told`` are events in another dialect, of which the page sees the first before the last is
    sent.
    """

    def __init__(self, *, cors: bool, told: Sequence[bytes] = ()) -> None:
        super().__init__(("127.0.0.1", 0), ChatCompletions)
        self.cors, self.told = cors, told
        self.asked: list[dict[str, object]] = []
        self.headers: dict[str, str] = {}
        self.first_piece_seen = Event()
        self.hung_up = Event()

    @property
    def address(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.server_port}"


class ChatCompletions(BaseHTTPRequestHandler):
    """``/v1/chat/completions`` streams; ``/seen`` is the page's word that it got something."""

    @property
    def model(self) -> ModelServer:
        """The server, as what it is."""
        assert isinstance(self.server, ModelServer)
        return self.server

    def do_OPTIONS(self) -> None:
        """The question that a browser asks first."""
        self._begin(204)

    def do_GET(self) -> None:
        """The page's word."""
        self.model.first_piece_seen.set()
        self._begin(204)

    def do_POST(self) -> None:
        """Stream one piece, wait for the page, stream the rest."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.model.asked.append(body)
        self.model.headers.update((k.lower(), v) for k, v in self.headers.items())
        self._begin(200, "text/event-stream")
        if self.model.told:
            *most, last = self.model.told
            self.wfile.write(b"".join(most))
            self.wfile.flush()
            self.model.first_piece_seen.wait(PATIENCE_S)
            self.wfile.write(last)
            return
        try:
            self._piece({"delta": {"role": "assistant", "content": "one, "}})
            if not self.model.first_piece_seen.wait(PATIENCE_S):
                return
            if body["model"] == "endless":
                while not self.model.hung_up.wait(0.005):
                    self._piece({"delta": {"content": "more, "}})
            self._piece({"delta": {"content": "two"}})
            self._piece({"delta": {}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:
            self.model.hung_up.set()

    def _begin(self, status: int, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if self.model.cors:
            self.send_header("access-control-allow-origin", "*")
            self.send_header("access-control-allow-headers", "*")
        self.end_headers()

    def _piece(self, choice: dict[str, object]) -> None:
        chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Be quiet."""


@contextmanager
def serving(*, cors: bool, told: Sequence[bytes] = ()) -> Generator[ModelServer, None, None]:
    """A server until the end of the block."""
    server = ModelServer(cors=cors, told=told)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.hung_up.set()
        server.shutdown()
        thread.join()
        server.server_close()
