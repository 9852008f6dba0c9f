"""Serve a static folder on this machine's loopback, with the types that browsers insist on.

usage: python -m scripts.serve [--port N] [FOLDER]        (FOLDER is web/dist if not given)
"""

import argparse
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from threading import Event, Thread
from typing import Final

from scripts.places import DIST

TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".whl": "application/zip",
    ".zip": "application/zip",
}


class StaticFiles(SimpleHTTPRequestHandler):
    """Files as they are on the disk now: a browser asks again after every build."""

    def guess_type(self, path: str | PathLike[str]) -> str:
        """Ours first: what the system knows differs from machine to machine."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        """Forbid the one cache that would show yesterday's page."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def handle(self) -> None:
        """A browser that turns away in the middle of an answer is no fault of ours."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Be quiet; the browser's own tools show requests."""


@contextmanager
def served(folder: Path, port: int = 0) -> Generator[str, None, None]:
    """Serve ``folder`` until the block ends, and give its address. Port 0 takes a free one."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(StaticFiles, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve a static folder on loopback.")
    parser.add_argument("folder", nargs="?", type=Path, default=DIST)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options = parser.parse_args()
    with served(options.folder, options.port) as address:
        print(f"{options.folder} is at {address}/   (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            Event().wait()


if __name__ == "__main__":
    main()
