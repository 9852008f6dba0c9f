"""Run the suite inside Pyodide, in a worker of a real Chromium page.

usage: python -m scripts.run_in_chromium TALLY [pytest arguments...]

TALLY is the file that receives the counts. The exit status is pytest's; 70 means that the browser
or Pyodide itself failed, 69 that there is no browser.
"""

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Error

from scripts.chromium import NoChromiumError, find_or_install, started
from scripts.places import ROOT, TEST_DIST
from scripts.serve import served

WHAT_TESTS_READ: Final = (
    "tests",
    "examples",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
)
NO_BROWSER: Final = 69
BROWSER_FAILED: Final = 70


def main() -> int:
    """Serve the test folder, open its page, run, hand pytest's exit code on."""
    tally, suite = Path(sys.argv[1]), sys.argv[2:]
    try:
        browser = find_or_install()
    except NoChromiumError as absent:
        print(absent, file=sys.stderr)
        return NO_BROWSER
    lay_suite(TEST_DIST)
    try:
        code, counts = run(browser, suite)
    except Error as failed:
        print(failed.message[-4000:], file=sys.stderr)
        return BROWSER_FAILED
    tally.write_text(counts)
    return code


def lay_suite(into: Path) -> None:
    """Put the page, the worker and the suite beside Pyodide."""
    for file in (ROOT / "scripts" / "in_chromium").iterdir():
        shutil.copyfile(file, into / file.name)
    shutil.copyfile(ROOT / "scripts" / "in_pyodide.py", into / "in_pyodide.py")
    with zipfile.ZipFile(into / "suite.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in WHAT_TESTS_READ:
            top = ROOT / name
            for file in [top] if top.is_file() else sorted(top.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(ROOT).as_posix())


def run(browser: str, suite: Sequence[str]) -> tuple[int, str]:
    """Run the suite in a page; give pytest's exit code and the counts."""
    with served(TEST_DIST) as address, started(browser) as chromium:
        page = chromium.new_page()
        page.expose_function("show", show)  # pyright: ignore[reportUnknownMemberType]
        page.goto(f"{address}/index.html")
        result = page.evaluate("suite => runSuite(suite)", list(suite))
    return int(result["code"]), str(result["tally"])


def show(text: str) -> None:
    """What pytest writes over there appears here as it is written."""
    print(text, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
