"""How long importing the package takes, as a ratio to what it is built on.

The floor is ``import asyncio, msgspec`` in a fresh interpreter of the same run; the two take turns,
so that a busy moment of the machine hits both. Medians are compared.

    python -m benchmarks.import_time [rounds]
"""

import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from benchmarks.figures import compared, tell

FLOOR: Final = "asyncio, msgspec"
MEASURED: Final = ("meerkat_mob",)
TIMED: Final = """
from time import perf_counter_ns
began = perf_counter_ns()
import {names}
print(perf_counter_ns() - began)
"""


def main() -> None:
    """Print the ratio."""
    medians = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    floor = medians[FLOOR] / 1e9
    tell(compared(f"import {name}", medians[name] / 1e9, floor, aim=2) for name in MEASURED)


def measure(rounds: int) -> Mapping[str, float]:
    """The median nanoseconds of each import; every round takes each of them once."""
    taken: dict[str, list[int]] = {FLOOR: [], **{names: [] for names in MEASURED}}
    for names in taken:
        once(names)  # the first import compiles, or reads from a cold disk
    for _ in range(rounds):
        for names, times in taken.items():
            times.append(once(names))
    return {names: statistics.median(times) for names, times in taken.items()}


def once(names: str) -> int:
    """Nanoseconds of one import in an interpreter of its own."""
    command = [sys.executable, "-I", "-c", TIMED.format(names=names)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
