"""The pinned wheels of ``web/wheels.toml``: fetched once, checked against their hashes, described.

Nothing reaches a dist folder whose bytes differ from the pin.
"""

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from scripts.places import ROOT, WEB, WHEELS

IN_PYODIDE: Final[Mapping[str, str]] = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_system": "Emscripten",
    "sys_platform": "emscripten",
}


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one wheel."""

    version: str
    sha256: str


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module of ours, with all below it, that the page's build of our wheel is without.

    One that comes ``later`` is in a second wheel, which a page loads when a server is asked.
    """

    module: str
    reason: str
    later: bool = False


class MayImport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module that stays, and one left out that a function of it, where no page gets, imports."""

    module: str
    imports: str
    reason: str


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``web/wheels.toml``."""

    python: str
    platform: str
    page: dict[str, Pin]
    http: dict[str, Pin]
    tests: dict[str, Pin]
    left_out: tuple[LeftOut, ...]
    may_import: tuple[MayImport, ...]


def read_pins() -> Pins:
    """The pins as they stand."""
    return msgspec.convert(tomllib.loads((WEB / "wheels.toml").read_text()), Pins)


def sha256(file: Path) -> str:
    """Lowercase hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fetch(pins: Pins, wanted: Mapping[str, Pin]) -> list[Path]:
    """The wheels of ``wanted``; only those that are not yet in the cache are downloaded."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    have = {sha256(file): file for file in WHEELS.glob("*.whl")}
    missing = {name: pin for name, pin in wanted.items() if pin.sha256 not in have}
    if missing:
        _download(pins, missing)
        have = {sha256(file): file for file in WHEELS.glob("*.whl")}
    return [have[pin.sha256] for pin in wanted.values()]


def _download(pins: Pins, missing: Mapping[str, Pin]) -> None:
    """Let pip fetch wheels for the other platform; it refuses a byte that is not pinned."""
    lines = [f"{name}=={pin.version} --hash=sha256:{pin.sha256}" for name, pin in missing.items()]
    asked = WHEELS / "wanted.txt"
    asked.write_text("\n".join(lines) + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    which = ["--no-deps", "--only-binary=:all:", "--implementation=cp", "--require-hashes"]
    where = [f"--platform={pins.platform}", f"--python-version={pins.python}", f"--dest={WHEELS}"]
    subprocess.run([*pip, *which, *where, f"--requirement={asked}"], check=True)


def build_ours(into: Path) -> Path:
    """Build this package's wheel; anything but ``py3-none-any`` could not run in a browser."""
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-build-isolation", f"--wheel-dir={into}"]
    subprocess.run([*pip, *how, str(ROOT)], check=True)
    (wheel,) = into.glob("*.whl")
    if not wheel.name.endswith("-py3-none-any.whl"):
        raise SystemExit(f"{wheel.name} is not a pure-Python wheel (py3-none-any)")
    return wheel


def lock(template: Mapping[str, Any], wheels: Sequence[Path], python: str) -> dict[str, Any]:
    """Pyodide's lock file for exactly these wheels, which lie beside it.

    ``template`` is Pyodide's own lock; only what it says of itself is kept.
    """
    entries = {entry["name"]: entry for entry in (_entry(wheel, python) for wheel in wheels)}
    for entry in entries.values():
        absent = [name for name in entry["depends"] if name not in entries]
        if absent:
            raise SystemExit(f"{entry['name']} needs {absent}, which wheels.toml does not pin")
    return {"info": template["info"], "packages": entries}


def _entry(wheel: Path, python: str) -> dict[str, Any]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        (metadata,) = (file for file in files if re.fullmatch(r"[^/]+\.dist-info/METADATA", file))
        headers = HeaderParser().parsestr(archive.read(metadata).decode())
    tops = {file.partition("/")[0].removesuffix(".py") for file in files}
    return {
        "name": str(name),
        "version": str(version),
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": sha256(wheel),
        "package_type": "package",
        "imports": sorted(top for top in tops if not top.endswith((".dist-info", ".data"))),
        "depends": _depends(headers, python),
        "unvendored_tests": False,
    }


def _depends(headers: Message, python: str) -> list[str]:
    """The names of what a wheel needs inside Pyodide, its extras aside."""
    there = {**IN_PYODIDE, "python_version": python, "python_full_version": f"{python}.0"}
    needs = (Requirement(line) for line in headers.get_all("Requires-Dist", []))
    return sorted(
        canonicalize_name(need.name)
        for need in needs
        if need.marker is None or need.marker.evaluate(there)
    )
