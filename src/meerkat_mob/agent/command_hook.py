"""A hook that is a program: told by its standard input, heard by its standard output (HK-7).

Whatever ends a call, the program and all of its process group are ended and awaited first: nothing
is left behind, unless it has left the group on purpose. On the host only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Unpack, cast

from meerkat_mob import _target
from meerkat_mob.core.hook_wire import decode_reply, encode_call
from meerkat_mob.core.hooks import (
    PAYLOAD_MAX_BYTES,
    Hook,
    HookAnswer,
    HookCall,
    HookOptions,
    HookPoint,
)
from meerkat_mob.errors import CapabilityUnavailable, HookExecutionFailed, InvalidParams

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT")
"""What a program has of our environment. Keys are not among it."""

MOST_TOLD: Final = 2000
"""Bytes of its last words on standard error that an error tells."""

_KILL: Final = 9
_IN, _OUT, _ERR = 0, 1, 2


def command_hook(
    *,
    id: str,  # noqa: A002 (as in Hook)
    point: HookPoint,
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    payload_max_bytes: int = PAYLOAD_MAX_BYTES,
    **options: Unpack[HookOptions],
) -> Hook:
    """A hook that starts ``command`` for each call; no shell reads it. ``options`` as in ``Hook``.

    The program reads a ``HookCall`` and writes a ``HookReply``, each as JSON of at most
    ``payload_max_bytes``, and ends with 0. Its environment is ``INHERITED`` and ``env``.

    Raises ``CapabilityUnavailable`` in a tab and on Windows, ``InvalidParams`` without a
    command.
    """
    if not _target.PROCESS_GROUPS:
        raise CapabilityUnavailable(
            capability="a hook that is a command",
            why="this system has no groups of processes to end as one",
            instead="give a function",
        )
    if not command or not command[0]:
        raise InvalidParams(
            what="no program is named", path=f"hooks.{id}.command", hint="name one, and arguments"
        )
    argv, given = tuple(command), dict(env or {})
    capability = options.get("capability", "observe")

    async def run(call: HookCall) -> HookAnswer:
        told = encode_call(call, limit=payload_max_bytes)
        raw = await _answer(argv, _environment(given), told, payload_max_bytes)
        return decode_reply(raw, capability)

    return Hook(id=id, point=point, run=run, **options)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(given)


async def _answer(argv: Sequence[str], env: Mapping[str, str], told: bytes, limit: int) -> bytes:
    """What a program has written. Raises ``HookExecutionFailed``."""
    what = f"the command {argv[0]!r}"
    try:
        transport, talk = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Talk(limit), *argv, env=env, start_new_session=True
        )
    except (OSError, ValueError) as fault:
        raise HookExecutionFailed(what=what, why=f"cannot be started: {fault}") from fault
    stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(_IN))
    try:
        stdin.write(told)
        stdin.close()
        await talk.done.wait()
    finally:
        if transport.get_returncode() is None:  # else it was done when it ended
            _end_group(transport)
        if stdin.get_write_buffer_size():
            stdin.abort()  # else what nobody reads would keep it open
        transport.close()
        await talk.gone.wait()
    if talk.too_much:
        raise HookExecutionFailed(what=what, why=f"writes more than {limit} bytes")
    if code := transport.get_returncode():
        how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
        words = talk.errors.decode(errors="replace").strip()
        raise HookExecutionFailed(what=what, why=f"{how}: {words}" if words else how)
    return bytes(talk.answer)


def _end_group(transport: asyncio.SubprocessTransport) -> None:
    """Ends a program that leads a process group, and the group."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left of it
        os.killpg(transport.get_pid(), _KILL)


class _Talk(asyncio.SubprocessProtocol):
    """What a program writes until it is done: it has ended, and so has its output."""

    def __init__(self, limit: int) -> None:
        self._limit, self._open = limit, {_OUT, _ERR}
        self._ended = False
        self.answer, self.errors, self.too_much = bytearray(), b"", False
        self.done, self.gone = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _ERR:
            self.errors = (self.errors + data)[-MOST_TOLD:]
        elif len(self.answer) + len(data) > self._limit:
            self.too_much = True
            self.done.set()
        elif not self.too_much:
            self.answer += data

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        self._look()

    def process_exited(self) -> None:
        _end_group(self._transport)  # what it has left behind would keep its output open
        self._ended = True
        self._look()

    def _look(self) -> None:
        if self._ended and not self._open:
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
