"""What a caller sees of each fault of a model server, by dialect, on the virtual clock.

usage: python -m scripts.fault_table
"""

from meerkat_mob.testing import run
from tests.llm.every_dialect import EVERY
from tests.llm.fault_table import FAULTS, Outcome, outcome


def main() -> None:
    """Print the table."""
    print("| fault | " + " | ".join(EVERY) + " |\n|---|" + "---|" * len(EVERY))
    for fault in FAULTS:
        cells = [_cell(run(outcome(fault, dialect))) for dialect in EVERY]
        print(f"| {fault} | " + " | ".join(cells) + " |")


def _cell(told: Outcome) -> str:
    calls = "1 call" if told.calls == 1 else f"{told.calls} calls"
    return f"{told.ended}, {calls}, {told.lost_ms / 1000:g} s"


if __name__ == "__main__":
    main()
