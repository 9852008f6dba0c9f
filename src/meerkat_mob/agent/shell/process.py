"""One command, from its start to its end, whatever ends it.

The rule: when this is over, the command and all of its process group are gone, unless something in
it has left the group on purpose. What it says never stops it and is never kept without a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import msgspec

from meerkat_mob.agent.processes import KILL, TERM, end_group

SHELL: Final = "/bin/sh"
GRACE: Final = 2.0
"""Seconds that a command has to clean up once its time is over, and its outputs to close."""
_OUT, _ERR = 1, 2


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a command ended. ``exit_code`` is below 0 when a signal of that number ended it."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool


class Command:
    """A command. ``run`` it once; what it has said so far can be looked at any time."""

    def __init__(
        self, text: str, *, folder: Path, env: Mapping[str, str], output_bytes: int
    ) -> None:
        self._text, self._folder, self._env = text, folder, env
        self._talk = _Talk(output_bytes)

    async def run(self, seconds: float) -> Ended:
        """Runs it for so long at most. Raises ``OSError`` or ``ValueError`` if it cannot start."""
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self._talk,
            SHELL,
            "-c",
            self._text,
            cwd=self._folder,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        timed_out = False
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._talk.exited.wait()
            except TimeoutError:
                timed_out = True
                await self._end_in_time(transport)
            await self._talk.done.wait()
        finally:
            _end(transport, KILL)
            transport.close()  # what somebody outside of the group holds open is not waited for
            await self._talk.gone.wait()
        return Ended(
            exit_code=transport.get_returncode() or 0,
            stdout=self.said[0],
            stderr=self.said[1],
            timed_out=timed_out,
        )

    @property
    def said(self) -> tuple[str, str]:
        """Its two outputs so far, the middle left out where they are long."""
        return self._talk.outputs[_OUT].text, self._talk.outputs[_ERR].text

    async def _end_in_time(self, transport: asyncio.SubprocessTransport) -> None:
        _end(transport, TERM)
        try:
            async with asyncio.timeout(GRACE):
                await self._talk.exited.wait()
        except TimeoutError:
            _end(transport, KILL)
            await self._talk.exited.wait()


def _end(transport: asyncio.SubprocessTransport, signal: int) -> None:
    """Once it has exited its group was ended, and its number may be another's."""
    if transport.get_returncode() is None:
        end_group(transport, signal)


class _Output:
    """What one stream said: its beginning and its end."""

    def __init__(self, most: int) -> None:
        self._head_size, self._tail_size = most // 2, most - most // 2
        self._head, self._tail = bytearray(), bytearray()
        self.left_out = 0

    def add(self, data: bytes) -> None:
        room = self._head_size - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * self._tail_size:
            self._cut()

    def _cut(self) -> None:
        more = len(self._tail) - self._tail_size
        if more > 0:
            self.left_out += more
            del self._tail[:more]

    @property
    def text(self) -> str:
        self._cut()
        if not self.left_out:  # a character may begin in the one and end in the other
            return (self._head + self._tail).decode(errors="replace")
        head = self._head.decode(errors="replace")
        tail = self._tail.decode(errors="replace")
        return f"{head}\n[… {self.left_out} bytes left out …]\n{tail}"


class _Talk(asyncio.SubprocessProtocol):
    """It is done when it has ended and its outputs are closed."""

    def __init__(self, most: int) -> None:
        self.outputs = {_OUT: _Output(most), _ERR: _Output(most)}
        self._open = {_OUT, _ERR}
        self.done, self.exited, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.outputs[fd].add(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        self._look()

    def process_exited(self) -> None:
        end_group(self._transport)  # what it has left behind would keep its outputs open
        self.exited.set()
        self._look()
        # what has left the group may hold them open for ever
        asyncio.get_running_loop().call_later(GRACE, self.done.set)

    def _look(self) -> None:
        if self.exited.is_set() and not self._open:
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
