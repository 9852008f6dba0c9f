"""Waiting for what must not be given up halfway: a commit, or a run that has begun.

The rule: a cancelled waiter learns the outcome first, and then goes.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(future: asyncio.Future[T]) -> T:
    """Waits for ``future`` however often it is cancelled, and only then lets the cancel through."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # it was looked at: nobody else will
        raise cancelled
    return future.result()
