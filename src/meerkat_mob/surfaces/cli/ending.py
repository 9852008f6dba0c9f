"""How a command ends: what went wrong is said once, in words and as a code. No traceback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meerkat_mob.errors import RunCancelled
from meerkat_mob.surfaces.cli import exit_codes

if TYPE_CHECKING:  # importing the terminal's library costs more than showing the help
    from meerkat_mob.surfaces.cli.streams import Streams


def ended(work: Callable[[Streams], int], *, as_json: bool, debug: bool) -> int:
    """Runs a command's work and returns its exit code."""
    from meerkat_mob.surfaces.cli.streams import open_streams

    try:
        return _told(work, open_streams(), as_json=as_json, debug=debug)
    except BrokenPipeError:
        _close_pipe()
        return exit_codes.PIPE_CLOSED


def _told(work: Callable[[Streams], int], streams: Streams, *, as_json: bool, debug: bool) -> int:
    from meerkat_mob.surfaces.cli.findings import show_failure
    from meerkat_mob.surfaces.cli.jsonlines import JsonLines, failure_of

    try:
        return work(streams)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return interrupted(streams, exit_codes.INTERRUPTED, as_json=as_json)
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = exit_codes.exit_code(error)
        show_failure(streams.err, error)
        if as_json:
            JsonLines(streams.out.file).write(failure_of(error, code))
        return code


def until_stopped(
    work: Coroutine[Any, Any, None], streams: Streams, *, as_json: bool, goes_on: str = ""
) -> int:
    """Runs what waits for others to its end. Ctrl-C and SIGTERM cancel it; returns the code.

    ``goes_on`` is the command with which it goes on afterwards, where there is one.
    """
    code = exit_codes.INTERRUPTED

    async def story() -> None:
        task = asyncio.current_task()

        def stop() -> None:
            nonlocal code
            code = exit_codes.TERMINATED
            if task is not None:
                task.cancel()

        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            # where that cannot be (another thread, another system) it ends the process at once
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        await work

    try:
        asyncio.run(story())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return interrupted(streams, code, as_json=as_json, goes_on=goes_on)
    return exit_codes.OK


def to_resume(realm: Path) -> str:
    """The command with which the work in a realm goes on."""
    return f"meerkat-mob resume {shlex.quote(str(realm))}"


def interrupted(streams: Streams, exit_code: int, *, as_json: bool, goes_on: str = "") -> int:
    """Says that somebody ended the command from outside; everything was closed in order."""
    from meerkat_mob.surfaces.cli.jsonlines import Failure, JsonLines

    told = f"interrupted; it goes on with {goes_on}" if goes_on else "interrupted"
    streams.err.print(told, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        line = Failure(code=RunCancelled.code, message="interrupted", exit_code=exit_code)
        JsonLines(streams.out.file).write(line)
    return exit_code


def _close_pipe() -> None:
    """Lets the interpreter's own last flush go nowhere: nobody reads any more."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
