"""A command that goes on until it is done, or until somebody ends it from outside, in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from meerkat_mob.surfaces.cli import exit_codes
from meerkat_mob.surfaces.cli.ending import interrupted
from meerkat_mob.surfaces.cli.streams import Streams


def to_its_end(work: Callable[[], Awaitable[None]], streams: Streams, *, as_json: bool) -> int:
    """Does the work. Ctrl-C and SIGTERM cancel it, and what it opened closes behind it."""
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
        await work()

    try:
        asyncio.run(story())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return interrupted(streams, code, as_json=as_json)
    return exit_codes.OK
