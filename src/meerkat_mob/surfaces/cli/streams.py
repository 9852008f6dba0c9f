"""The two streams of a command: the answer goes to one, everything else to the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import msgspec
from rich.console import Console


class OwnConsole(Console):
    """Texts are shown as they are: no markup, no emoji names, no guessing."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leaves it to the command's end, which has an exit code for it."""
        raise  # noqa: PLE0704 called while that error is handled


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Standard output for the answer, standard error for everything else."""

    out: Console
    err: Console


def open_streams() -> Streams:
    """The process's own. A letter that the terminal's encoding lacks is shown by its number."""
    with_letters: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if with_letters is not None:
        with_letters(errors="backslashreplace")
    return Streams(out=OwnConsole(), err=OwnConsole(stderr=True))
