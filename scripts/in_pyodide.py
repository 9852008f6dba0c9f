"""What runs inside Pyodide, under Node and in Chromium alike: install our wheel, run pytest.

micropip installs the package from the lock file of the folder that Pyodide came from, as a page of
our users would. So the whole suite runs on what they get, and ``src/`` is nowhere on the path.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = "/project"
TALLY = "/tmp/tally.json"


async def install() -> None:
    """Install what the suite needs, from the folder's own lock file."""
    import micropip

    await micropip.install(["meerkat-mob", "httpx2", "pytest", "hypothesis"])


def run_suite(target: str, arguments: Sequence[str]) -> int:
    """Run the suite on ``target`` and return pytest's exit code."""
    sys.dont_write_bytecode = True
    os.environ["MEERKAT_TARGET"] = target
    os.chdir(PROJECT)

    import pytest

    return int(pytest.main(["-p", "no:cacheprovider", f"--tally={TALLY}", *arguments]))


def read_tally() -> str:
    """The counts of the run, as JSON; of a run that never began, none."""
    return Path(TALLY).read_text() if Path(TALLY).exists() else "{}"
