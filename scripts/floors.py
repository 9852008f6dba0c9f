"""Raise the floors in ``tests/floors.json`` to the counts of the last run of the whole suite.

usage: python -m scripts.floors [--lower "TARGET: REASON"]...

A floor falls only when ``--lower`` names its target and says why; say it in the commit, too.
"""

import argparse
import sys
from typing import Final

import msgspec

from scripts.places import TALLIES, TESTS

FILE: Final = TESTS / "floors.json"


class Floors(msgspec.Struct, frozen=True):
    """``tests/floors.json``: a number for each target, and why one ever fell."""

    floors: dict[str, int]
    lowered: tuple[str, ...] = ()


class Tally(msgspec.Struct, frozen=True):
    """The part of a run's own record that counts here."""

    passed: int
    failed: int
    whole: bool


def read_floors() -> Floors:
    """The floors as recorded."""
    return msgspec.json.decode(FILE.read_bytes(), type=Floors)


def main() -> int:
    """Compare, then write everything or refuse everything."""
    parser = argparse.ArgumentParser(description="Raise the floors to the last run's counts.")
    parser.add_argument("--lower", action="append", default=[], metavar="'TARGET: REASON'")
    asked: list[str] = parser.parse_args().lower
    reasons = {
        target: reason.strip() for target, _, reason in (one.partition(":") for one in asked)
    }
    recorded = read_floors()
    floors, lowered = dict(recorded.floors), list(recorded.lowered)
    for file in sorted(TALLIES.glob("*.json")):
        target, tally = file.stem, msgspec.json.decode(file.read_bytes(), type=Tally)
        old = floors.get(target, 0)
        if not tally.whole or tally.failed:
            print(
                f"{target}: stays at {old}; its last run was not of the whole suite, or not green"
            )
            continue
        if tally.passed < old:
            if not reasons.get(target):
                print(f"{target}: {old} would fall to {tally.passed}: --lower '{target}: WHY'")
                return 1
            lowered.append(f"{target} {old} -> {tally.passed}: {reasons[target]}")
        floors[target] = tally.passed
        print(f"{target}: {old} -> {tally.passed}")
    new = msgspec.json.encode(Floors(floors, tuple(lowered)))
    FILE.write_bytes(msgspec.json.format(new, indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
