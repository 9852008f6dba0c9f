"""How much a command may take and say."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShellLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bounds of each command; times in seconds.

    One that says nothing about time gets ``timeout``, and none more than ``longest``; a job in the
    background has ``job_longest``. Of each of its two outputs ``output_bytes`` are kept, half of
    them its beginning. ``jobs`` may be at work at a time.
    """

    timeout: Annotated[float, Meta(gt=0)] = 120
    longest: Annotated[float, Meta(gt=0)] = 600
    job_longest: Annotated[float, Meta(gt=0)] = 24 * 3600
    output_bytes: Annotated[int, Meta(ge=200)] = 30_000
    jobs: Annotated[int, Meta(ge=0)] = 8
