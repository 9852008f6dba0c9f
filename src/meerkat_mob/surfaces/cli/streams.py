"""The two streams of a command: the answer goes to one, everything else to the other."""

from __future__ import annotations

import msgspec
from rich.console import Console


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Standard output for the answer, standard error for everything else."""

    out: Console
    err: Console


def open_streams() -> Streams:
    """The process's own. Texts are shown as they are: no markup, no emoji names, no guessing."""
    return Streams(
        out=Console(markup=False, emoji=False, highlight=False),
        err=Console(stderr=True, markup=False, emoji=False, highlight=False),
    )
