"""Build ``web/dist/``: a static folder with Pyodide, our wheel, its lock file, the page and teams.

usage: python -m scripts.build_web [--tests-too]

The folder needs nothing from the network once it is there. ``--tests-too`` also makes
``.cache/test-dist``, with pytest and hypothesis inside, on which the suite runs.

    index.html …          the page, as in web/page/
    teams/NAME.zip        every pack under examples/
    pyodide/              Pyodide's own files, pyodide-lock.json, and the wheels it names

The page gets its own, smaller build of our wheel (``scripts/page_wheel.py``); the suite gets the
full one.
"""

import argparse
import json
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts import page_wheel, wheels
from scripts.places import CACHE, DIST, EXAMPLES, PAGE, TEST_DIST, WEB, npm

RUNTIME: Final = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
PACK_MARKS: Final = ("definition.json", "definition.toml", "manifest.toml", "mobpack.toml")
ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # no clock in a zip: the same team, the same bytes


def main() -> None:
    """Build; print what it weighs."""
    options = argparse.ArgumentParser(description="Build web/dist, the static page.")
    options.add_argument("--tests-too", action="store_true", help="make .cache/test-dist as well")
    tests_too: bool = options.parse_args().tests_too

    pins = wheels.read_pins()
    pyodide = install_pyodide()
    ours = wheels.build_ours(CACHE / "wheel")
    small = page_wheel.thin(ours, CACHE / "wheel" / "page", pins)
    later = page_wheel.second(ours, CACHE / "wheel" / "page", pins)
    beside, for_http = wheels.fetch(pins, pins.page), wheels.fetch(pins, pins.http)
    lay_runtime(DIST / "pyodide", pyodide, [small, later, *beside, *for_http], pins.python)
    lay_page(DIST)
    teams = [pack(folder, DIST / "teams") for folder in packs(EXAMPLES)]
    if tests_too:
        everything = [ours, *beside, *for_http, *wheels.fetch(pins, pins.tests)]
        lay_runtime(TEST_DIST / "pyodide", pyodide, everything, pins.python)
    report([small, *beside], [later, *for_http], teams)
    print(f"our wheel in full, on which the suite runs: {ours.stat().st_size:,} bytes")


def install_pyodide() -> Path:
    """Pyodide from npm, exactly as ``package-lock.json`` has it."""
    lock, stamp = WEB / "package-lock.json", WEB / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*npm(), "ci", *quiet], cwd=WEB, check=True)
        shutil.copyfile(lock, stamp)
    return WEB / "node_modules" / "pyodide"


def lay_runtime(into: Path, pyodide: Path, parts: Sequence[Path], python: str) -> None:
    """Put Pyodide, the wheels and the lock that names them into one folder, and nothing else."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for file in (*(pyodide / name for name in RUNTIME), *parts):
        shutil.copyfile(file, into / file.name)
    template = json.loads((pyodide / "pyodide-lock.json").read_text())
    lock = wheels.lock(template, parts, python)
    (into / "pyodide-lock.json").write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")


def lay_page(into: Path) -> None:
    """Copy the page; what an earlier page left behind goes."""
    for old in into.iterdir():
        if old.name == "pyodide":
            continue
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(PAGE, into, dirs_exist_ok=True)


def packs(root: Path) -> list[Path]:
    """The example teams that are packs: folders with a definition in them."""
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    return [folder for folder in folders if any((folder / mark).exists() for mark in PACK_MARKS)]


def pack(folder: Path, into: Path) -> Path:
    """One team as a zip whose bytes depend on its files alone."""
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"{folder.name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return target


def report(at_start: Sequence[Path], for_http: Sequence[Path], teams: Sequence[Path]) -> None:
    """What the page downloads besides Pyodide itself."""
    own_files = sorted(file for file in DIST.glob("*") if file.is_file())
    first = [*at_start, DIST / "pyodide" / "pyodide-lock.json", *own_files, *teams]
    for file in (*first, *for_http):
        print(f"  {file.stat().st_size:>9,}  {file.name}")
    sums = (sum(file.stat().st_size for file in files) for files in (first, for_http))
    print("besides Pyodide: {:,} bytes, and {:,} more to ask a model server".format(*sums))


if __name__ == "__main__":
    main()
