"""The folder that ``build_wasm.sh`` makes: complete by itself, and installable in a real page."""

import json
import zipfile
from collections.abc import Callable
from urllib.request import urlopen

import pytest

import meerkat_mob
from scripts.places import DIST
from scripts.wheels import sha256

LOCK = DIST / "pyodide" / "pyodide-lock.json"


def test_the_lock_names_every_wheel_of_the_folder_with_its_hash() -> None:
    packages = json.loads(LOCK.read_text())["packages"].values()
    locked = {package["file_name"]: package["sha256"] for package in packages}
    there = {wheel.name: sha256(wheel) for wheel in LOCK.parent.glob("*.whl")}
    assert locked == there


def test_our_wheel_holds_the_package_and_its_type_marker_and_no_tests() -> None:
    (wheel,) = LOCK.parent.glob("meerkat_mob-*-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "meerkat_mob/py.typed" in names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"meerkat_mob", f"meerkat_mob-{meerkat_mob.__version__}.dist-info"}


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pyodide/pyodide.mjs", "text/javascript"),
        ("pyodide/pyodide.asm.wasm", "application/wasm"),
        ("pyodide/pyodide-lock.json", "application/json"),
        ("pyodide/python_stdlib.zip", "application/zip"),
    ],
)
def test_files_are_served_with_the_types_that_browsers_insist_on(
    address: str, name: str, kind: str
) -> None:
    with urlopen(f"{address}/{name}") as answer:
        assert answer.headers["Content-Type"] == kind


def test_a_worker_of_a_real_page_installs_our_wheel_from_the_lock(
    python: Callable[[str], str],
) -> None:
    assert python("import meerkat_mob; meerkat_mob.__version__") == meerkat_mob.__version__
    assert python("from meerkat_mob._target import IN_BROWSER; IN_BROWSER") == "true"
