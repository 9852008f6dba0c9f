"""An ASGI application on a socket, until it is stopped: uvicorn, kept quiet.

The socket is bound before anything is said of it, so its port is known and a taken one is told as
what it is. Signals are the caller's: it cancels.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from meerkat_mob.errors import InvalidParams


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises ``InvalidParams`` when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as fault:
        why = (fault.strerror or str(fault)).partition(" (while")[0]
        of_the_port = fault.errno in {errno.EADDRINUSE, errno.EACCES}
        raise InvalidParams(
            what=f"nobody can listen on {host} port {port}: {why}",
            path="--port" if of_the_port else "--host",
            hint="give another one, or 0 for any that is free"
            if of_the_port
            else "leave it out, or give an address of this machine",
        ) from fault


def address_of(listening: socket.socket) -> str:
    """Where others reach it, as a URL without a path."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serves until it is cancelled. Answers that are still going on are cut off then."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.CRITICAL,  # the application notes what there is to note
        access_log=False,
        proxy_headers=False,  # who asks is who connects, whatever the request says
        server_header=False,
        timeout_graceful_shutdown=0,
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals to the command."""
        yield
