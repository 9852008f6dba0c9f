"""Run the whole suite on every target, one after another, and add up what was executed.

usage: python -m scripts.run_tests [--only TARGET]... [pytest arguments...]

Without pytest arguments each target is held to its floor. A target that cannot run here is
reported with the reason and the command that would help; with CI=true that is a failure.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts.chromium import NoChromiumError, find_or_install
from scripts.floors import read_floors
from scripts.places import ROOT, TALLIES, TEST_DIST, node

PYTHON: Final = (sys.executable, "-m")
HANGS_AFTER_S: Final = 1200.0
HUNG: Final = 75


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of pytest wrote down about itself."""

    passed: int = 0
    failed: int = 0

    @property
    def executed(self) -> int:
        """Tests whose body ran."""
        return self.passed + self.failed


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one target ended. ``why_not`` is empty unless it could not run at all."""

    target: str
    counts: Counts = Counts()
    exit_code: int = 0
    seconds: float = 0.0
    why_not: str = ""

    @property
    def failures(self) -> int:
        """Failed tests; a run that went wrong as a whole counts as one."""
        return self.counts.failed or (1 if self.exit_code else 0)

    @property
    def line(self) -> str:
        """One line for the summary."""
        if self.why_not:
            return f"{self.target}: NOT RUN: {self.why_not}"
        verdict = "ok" if self.exit_code == 0 else f"FAILED (exit {self.exit_code})"
        executed = (
            f"{self.counts.executed} executed (floor {read_floors().floors.get(self.target, 0)})"
        )
        return f"{self.target}: {executed}, {verdict}, {self.seconds:.0f} s"


def on_cpython(tally: Path, suite: Sequence[str]) -> list[str]:
    """Here, on this interpreter."""
    return [*PYTHON, "pytest", f"--tally={tally}", *suite]


def in_node(tally: Path, suite: Sequence[str]) -> list[str]:
    """Inside Pyodide, under Node."""
    driver = ["--experimental-wasm-jspi", "scripts/run_in_node.mjs", str(TEST_DIST), str(tally)]
    return [*node(), *driver, *suite]


def in_chromium(tally: Path, suite: Sequence[str]) -> list[str]:
    """Inside Pyodide, in a page."""
    find_or_install()
    return [*PYTHON, "scripts.run_in_chromium", str(tally), *suite]


def on_the_page(tally: Path, suite: Sequence[str]) -> list[str]:
    """From outside: the built page in Chromium, driven by tests on this interpreter."""
    find_or_install()
    return [*PYTHON, "pytest", f"--tally={tally}", *(suite or ["tests/web"])]


Starter = Callable[[Path, Sequence[str]], list[str]]

TARGETS: Final[dict[str, Starter]] = {
    "cpython": on_cpython,
    "pyodide-node": in_node,
    "pyodide-chromium": in_chromium,
    "page": on_the_page,
}


def main() -> int:
    """Run, sum up, and say in the last line how many passed and failed."""
    parser = argparse.ArgumentParser(description="Run the suite on every target.")
    parser.add_argument("--only", action="append", choices=TARGETS, metavar="TARGET")
    options, suite = parser.parse_known_args()
    outcomes = [run(target, suite) for target in options.only or TARGETS]

    print("\n" + "\n".join(outcome.line for outcome in outcomes))
    passed = sum(outcome.counts.passed for outcome in outcomes)
    failed = sum(outcome.failures for outcome in outcomes)
    print(f"{passed} passed, {failed} failed", flush=True)
    left_out = any(outcome.why_not for outcome in outcomes)
    if left_out and os.environ.get("CI"):
        return 1
    return 1 if any(outcome.exit_code for outcome in outcomes) else 0


def run(target: str, suite: Sequence[str]) -> Outcome:
    """Run one target to its end."""
    print(f"\n=== {target}", flush=True)
    TALLIES.mkdir(parents=True, exist_ok=True)
    tally = TALLIES / f"{target}.json"
    tally.unlink(missing_ok=True)
    try:
        command = TARGETS[target](tally, suite)
    except NoChromiumError as absent:
        return Outcome(target=target, why_not=str(absent))
    if not suite:
        command.append("--floors")
    began = time.monotonic()
    env = {**os.environ, "MEERKAT_TARGET": target}
    try:
        exit_code = subprocess.run(
            command, cwd=ROOT, env=env, check=False, timeout=HANGS_AFTER_S
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"{target}: ended after {HANGS_AFTER_S:g} s; something hangs", flush=True)
        exit_code = HUNG
    counts = msgspec.json.decode(tally.read_bytes(), type=Counts) if tally.exists() else Counts()
    if exit_code == 0 and counts.executed == 0:
        exit_code = 5  # what pytest says of a run without tests
    seconds = time.monotonic() - began
    return Outcome(target=target, counts=counts, exit_code=exit_code, seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
