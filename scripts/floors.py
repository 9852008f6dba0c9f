"""Raise the floors in ``tests/floors.json`` to the counts of the last run of the whole suite.

usage: python -m scripts.floors [--lower "TARGET: REASON"]...

A floor falls only when ``--lower`` names its target and says why; say it in the commit, too.
"""

import argparse
from collections.abc import Mapping
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


def main() -> None:
    """Compare, then write everything or refuse everything."""
    parser = argparse.ArgumentParser(description="Raise the floors to the last run's counts.")
    parser.add_argument("--lower", action="append", default=[], metavar="'TARGET: WHY'")
    asked: list[str] = parser.parse_args().lower
    parts = [one.partition(":") for one in asked]
    tallies = {
        file.stem: msgspec.json.decode(file.read_bytes(), type=Tally)
        for file in sorted(TALLIES.glob("*.json"))
    }
    old = read_floors()
    new = raised(old, tallies, {target: why.strip() for target, _, why in parts})
    for target, floor in new.floors.items():
        print(f"{target}: {old.floors.get(target, 0)} -> {floor}")
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(new), indent=2) + b"\n")


def raised(old: Floors, tallies: Mapping[str, Tally], reasons: Mapping[str, str]) -> Floors:
    """The new floors. A run that was red, or of a part of the suite, changes nothing.

    Ends the program when a floor would fall without a reason.
    """
    floors, lowered = dict(old.floors), list(old.lowered)
    for target, tally in tallies.items():
        floor = floors.get(target, 0)
        if tally.failed or not tally.whole:
            continue
        if tally.passed < floor:
            if not reasons.get(target):
                told = f"{target}: {floor} would fall to {tally.passed}"
                raise SystemExit(f"{told}; say why: make floors LOWER='{target}: WHY'")
            lowered.append(f"{target} {floor} -> {tally.passed}: {reasons[target]}")
        floors[target] = tally.passed
    return Floors(floors, tuple(lowered))


if __name__ == "__main__":
    main()
