"""Audit the compiled wheels of ``web/dist``: none may need a shared library that is not inside.

usage: python -m scripts.audit_wheels

The audit is pyodide-build's, which needs Python 3.12 or newer and gets an environment of its own.
Where there is no such Python, or no package to install, it is skipped, with the reason.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.places import DIST, ROOT

HOME: Final = ROOT / ".venv-wasm"
NEWER: Final = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))"


def main() -> int:
    """Audit every wheel that is not pure Python."""
    try:
        pyodide = auditor()
    except LookupError as missing:
        print(f"audit of the wasm wheels skipped: {missing}")
        return 0
    here = {**os.environ, "PATH": f"{pyodide.parent}{os.pathsep}{os.environ['PATH']}"}
    compiled = sorted(
        file for file in (DIST / "pyodide").glob("*.whl") if not file.name.endswith("-any.whl")
    )
    for wheel in compiled:
        shown = subprocess.run(
            [str(pyodide), "auditwheel", "show", str(wheel)],
            env=here,
            capture_output=True,
            text=True,
            check=False,
        )
        needs = [line.strip() for line in shown.stdout.splitlines() if not line.endswith(".so:")]
        if shown.returncode or any(needs):
            print(f"{wheel.name}: audit failed\n{shown.stdout}{shown.stderr[-2000:]}")
            return 1
        print(f"{wheel.name}: needs no shared library from outside")
    return 0


def auditor() -> Path:
    """The ``pyodide`` command, installed when it is not there. Raises LookupError with a reason."""
    command, stamp = HOME / "bin" / "pyodide", HOME / "ready"
    if stamp.exists():
        return command
    python = next(candidates(), None)
    if python is None:
        raise LookupError("pyodide-build needs Python 3.12 or newer, and none was found")
    shutil.rmtree(HOME, ignore_errors=True)
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        subprocess.run([python, "-m", "venv", str(HOME)], check=True)
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        subprocess.run([*pip, "--group", "wasm"], cwd=ROOT, check=True)
    except subprocess.CalledProcessError as failed:
        raise LookupError(f"pyodide-build could not be installed ({failed})") from failed
    stamp.touch()
    return command


def candidates() -> Iterator[str]:
    """Every Python here that is new enough: on the path, and under pyenv where it is used."""
    names = ["python3", "python3.14", "python3.13", "python3.12"]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [path for path in map(shutil.which, names) if path]
    found += sorted((str(path) for path in pyenv.glob("3.1[2-9]*/bin/python3")), reverse=True)
    for path in found:
        asked = subprocess.run([path, "-c", NEWER], capture_output=True, check=False)
        if asked.returncode == 0:
            yield path


if __name__ == "__main__":
    sys.exit(main())
