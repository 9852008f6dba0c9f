"""All benchmarks, one after another, each in a process of its own, and one table of their figures.

python -m benchmarks [NAME]...
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import FOR_THE_TABLE, HEADING, Figure, line_of

HERE: Final = Path(__file__).parent
KIT: Final = frozenset({"figures", "realms"})


def main() -> None:
    """Print the table while it grows; what a benchmark says otherwise stands behind it."""
    names = sys.argv[1:] or sorted(
        file.stem for file in HERE.glob("[a-z]*.py") if file.stem not in KIT
    )
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors; load {load()}")
    print(f"{HEADING}  load")
    others: list[str] = []
    for name in names:
        for line in output_of(name):
            if line.startswith("{"):
                figure = msgspec.json.decode(line, type=Figure)
                print(f"{line_of(figure):<110}  {load()}", flush=True)
            else:
                others.append(f"{name}: {line}")
    for line in others:
        print(line)


def output_of(name: str) -> Generator[str, None, None]:
    """What a benchmark says, as it says it."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    environment = {**os.environ, FOR_THE_TABLE: "1"}
    with subprocess.Popen(
        command, cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            yield line.rstrip("\n")
    if process.returncode:
        raise SystemExit(process.returncode)


def load() -> str:
    """Of the last minute: figures taken beside much other work say little."""
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
