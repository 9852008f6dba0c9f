"""The repository as a whole speaks of the product only, and of no machine it was made on."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOMES = tuple("/".join(("", place, "")) for place in ("work", "root", "home"))
NOT_TEXT = {".png", ".zip", ".gz", ".whl", ".sqlite3", ".ico", ".woff2"}


def tracked() -> list[Path]:
    """The files of the commit and those about to join it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = (ROOT / line for line in listed.stdout.splitlines())
    return [file for file in files if file.is_file() and file.suffix not in NOT_TEXT]


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    told = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in tracked()
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if any(home in line for home in HOMES)
    ]
    assert told == []


def test_every_script_that_is_run_by_name_may_be_run() -> None:
    for name in ("build_wasm.sh", "scripts/find-python", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111, name
