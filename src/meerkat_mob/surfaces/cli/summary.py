"""The end of a run in a table: what each member did, and the sum of it.

A figure that nobody gave is shown as unknown, never as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.table import Table
from rich.text import Text

from meerkat_mob.core.usage import Usage
from meerkat_mob.surfaces.cli.palette import BAD, QUIET, Palette
from meerkat_mob.surfaces.cli.story import Seat
from meerkat_mob.surfaces.cli.words import counted

UNKNOWN: Final = "?"


class Total(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a whole team did. ``usage`` None: at least one member's is unknown."""

    members: int
    failed_runs: int
    turns: int
    tool_calls: int
    failed_calls: int
    usage: Usage | None


def total_of(seats: Sequence[Seat]) -> Total:
    """The sum over all members."""
    tallies = [seat.tally for seat in seats]
    known = [t.usage for t in tallies if t.usage is not None]
    missing = any(t.turns and t.usage is None for t in tallies)
    return Total(
        members=len(tallies),
        failed_runs=sum(t.failed_runs for t in tallies),
        turns=sum(t.turns for t in tallies),
        tool_calls=sum(t.tool_calls for t in tallies),
        failed_calls=sum(t.failed_calls for t in tallies),
        usage=None if missing else sum(known, Usage()),
    )


def summary_table(seats: Sequence[Seat], palette: Palette) -> Table:
    """One row for each member."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    table.add_column("member")
    for heading in ("turns", "tool calls", "tokens in", "tokens out"):
        table.add_column(heading, justify="right")
    for seat in seats:
        tally = seat.tally
        calls = Text(str(tally.tool_calls))
        if tally.failed_calls:
            calls = Text.assemble((f"({tally.failed_calls} failed) ", BAD), calls)
        name = Text(*palette.name(seat.member))
        if tally.failed_runs:
            name.append(f" ({tally.failed_runs} failed)", BAD)
        table.add_row(name, str(tally.turns), calls, *_tokens(seat))
    return table


def _tokens(seat: Seat) -> tuple[str, str]:
    if seat.tally.usage is None:
        return (UNKNOWN, UNKNOWN) if seat.tally.turns else ("0", "0")
    return f"{seat.tally.usage.input_tokens:,}", f"{seat.tally.usage.output_tokens:,}"


def total_line(total: Total, duration_ms: int, *, estimated: bool) -> str:
    """The sum in a sentence. ``estimated``: nobody counted the tokens, they were guessed."""
    if total.usage is None:
        tokens = "an unknown number of tokens"
    else:
        tokens = counted(total.usage.total, "token") + (" (estimated)" if estimated else "")
    parts = (
        counted(total.members, "member"),
        counted(total.turns, "turn"),
        counted(total.tool_calls, "tool call"),
        tokens,
        f"{duration_ms / 1000:.1f} s" if duration_ms >= 1000 else f"{duration_ms} ms",
    )
    return ", ".join(parts)
