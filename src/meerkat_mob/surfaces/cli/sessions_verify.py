"""``meerkat-mob sessions verify``: whether everything in a realm is as it was committed."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from meerkat_mob.mob.outside import Fault, verify_realm
from meerkat_mob.mob.outside import Progress as Tell
from meerkat_mob.surfaces.cli.exit_codes import DAMAGED, OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import VerifyOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, laid, signs_for
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import counted, flat

WORTH_A_BAR_S: Final = 0.5
MOST_SHOWN: Final = 20
"""Places of one kind of finding; the others are counted."""


def show_verdict(options: VerifyOptions, streams: Streams) -> int:
    """Checks a realm and prints what was found. Returns the exit code."""
    with _bar(streams.err) as tell:
        verdict = verify_realm(options.realm, progress=tell)
    code = OK if verdict.ok else DAMAGED
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(verdict))
        return code
    out = streams.out
    for line in found(verdict.findings, out):
        out.print(laid(line, out, indent=4), soft_wrap=True)
    counts = ", ".join(
        (
            counted(verdict.streams, "stream"),
            counted(verdict.records, "record"),
            counted(verdict.keys, "key"),
            counted(verdict.blobs, "image"),
        )
    )
    judgement = ("as committed", GOOD) if verdict.ok else ("damaged", BAD)
    told = "" if verdict.ok else f", {counted(len(verdict.findings), 'finding')}"
    line = Text.assemble(f"{options.realm}: ", judgement, told, (f" ({counts})", QUIET))
    out.print(line, soft_wrap=True)
    return code


def found(findings: Sequence[Fault], out: Console) -> Iterator[Text]:
    """Kind by kind: what it means, where it was found, and what to do about it."""
    arrow = signs_for(out).to
    for code, several in groupby(sorted(findings, key=lambda one: one.code), lambda one: one.code):
        alike = tuple(several)
        yield Text.assemble((code, BAD), f": {alike[0].means}")
        for one in islice(alike, MOST_SHOWN):
            place = ", ".join(
                (
                    *([flat(one.stream)] if one.stream else []),
                    *([f"record {one.seq}"] if one.seq else []),
                )
            )
            yield Text.assemble("  ", (place, "bold"), ": " if place else "", flat(one.message))
        if len(alike) > MOST_SHOWN:
            yield Text(f"  and {len(alike) - MOST_SHOWN:,} more: --json has all", QUIET)
        yield Text.assemble("  ", (f"{arrow} ", QUIET), alike[0].advice)
        yield Text()


@contextmanager
def _bar(err: Console) -> Generator[Tell, None, None]:
    """A bar, once it is clear that it will take a while; none where nobody looks."""
    began = time.monotonic()
    bar = Progress(
        TextColumn("checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("streams"),
        console=err,
        transient=True,
    )
    task = bar.add_task("", total=None)

    def tell(done: int, of: int) -> None:
        if err.is_terminal and time.monotonic() - began > WORTH_A_BAR_S:
            bar.start()
            bar.update(task, completed=done, total=of)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()
