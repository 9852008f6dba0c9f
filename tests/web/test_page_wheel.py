"""The wheel of the built page: smaller than the one the suite runs on, and enough for a page."""

import csv
import json
import zipfile
from collections.abc import Callable
from hashlib import sha256

import pytest
from playwright.sync_api import Page, Response, expect

import meerkat_mob
from scripts.page_wheel import BUILD, LATER, astray, left, module_of, thinned
from scripts.places import CACHE, DIST
from scripts.wheels import LeftOut, read_pins

PINS = read_pins()
NAME = f"meerkat_mob-{meerkat_mob.__version__}-{BUILD}-py3-none-any.whl"
RECORD = f"meerkat_mob-{meerkat_mob.__version__}.dist-info/RECORD"

INSTALLED = """
import json
from hashlib import sha256
from importlib import metadata

files = metadata.files({name!r})
json.dumps({{str(file): sha256(file.read_binary()).hexdigest() for file in files}})
"""
IMPORTED = """
import importlib, json
for name in json.loads({names!r}):
    importlib.import_module(name)
len(json.loads({names!r}))
"""
ASKED_FOR = """
import importlib, json, sys
try:
    importlib.import_module({name!r})
    told = None
except ModuleNotFoundError as absent:
    told = [absent.name, str(absent)]
json.dumps([told, [name for name in sys.modules if name.startswith({name!r})]])
"""
REFUSED = """
import json, sys
from meerkat_mob import MeerkatError, open_realm
try:
    open_realm("kept")
    told = None
except MeerkatError as refusal:
    told = [refusal.code, str(refusal)]
json.dumps([told, [name for name in ("meerkat_mob.store.file", "sqlite3") if name in sys.modules]])
"""


def files_of(wheel: str) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """What is in the wheel that the page loads."""
    (wheel,) = (DIST / "pyodide").glob("meerkat_mob-*.whl")
    assert wheel.name == NAME
    return files_of(str(wheel))


def test_its_record_names_every_file(files: dict[str, bytes]) -> None:
    rows = {path: facts for path, *facts in csv.reader(files[RECORD].decode().splitlines())}
    assert rows == {path: ["", ""] for path in files}


def test_it_is_the_wheel_that_the_suite_runs_on_without_what_is_left_out(
    files: dict[str, bytes],
) -> None:
    (full,) = (CACHE / "wheel").glob("*.whl")
    made = thinned(files_of(str(full)), PINS.left_out)
    assert {path: data for path, data in files.items() if path != RECORD} == made


def test_nothing_in_it_needs_what_is_left_out(files: dict[str, bytes]) -> None:
    assert astray(files, PINS.left_out, PINS.may_import) == []


def test_the_page_loads_this_wheel_and_no_other_of_ours(page: Page, address: str) -> None:
    loaded: list[str] = []

    def note(response: Response) -> None:
        loaded.append(response.url.rpartition("/")[2])

    page.on("response", note)
    page.goto(f"{address}/index.html")
    expect(page.locator("#run")).to_be_enabled(timeout=60_000)
    assert [name for name in loaded if name.startswith("meerkat_mob")] == [NAME]


def test_what_a_page_has_installed_is_this_wheel_byte_for_byte(
    python: Callable[[str], str], files: dict[str, bytes]
) -> None:
    (second,) = (DIST / "pyodide").glob(f"{LATER.replace('-', '_')}-*.whl")
    later = files_of(str(second))
    installed = json.loads(python(INSTALLED.format(name="meerkat-mob")))
    installed |= json.loads(python(INSTALLED.format(name=LATER)))
    both = {path: data for path, data in (files | later).items() if not path.endswith("/RECORD")}
    wanted = {path: sha256(data).hexdigest() for path, data in both.items()}
    assert {path: installed.get(path) for path in wanted} == wanted


def test_what_comes_later_is_in_a_wheel_of_its_own_and_nothing_else_is() -> None:
    (second,) = (DIST / "pyodide").glob(f"{LATER.replace('-', '_')}-*.whl")
    code = [module_of(path) for path in files_of(str(second)) if path.endswith(".py")]
    later = [part for part in PINS.left_out if part.later]
    assert [name for name in code if left(name, later) is None] == []
    assert {part.module for part in later} <= set(code)


def test_every_module_that_stays_imports_in_a_page(
    python: Callable[[str], str], files: dict[str, bytes]
) -> None:
    modules = sorted(module_of(path) for path in files if path.endswith(".py"))
    staying = [name for name in modules if left(name, PINS.left_out) is None]
    assert {"meerkat_mob", "meerkat_mob.surfaces.worker.page"} <= set(staying)
    assert python(IMPORTED.format(names=json.dumps(staying))) == str(len(staying))


NEVER = [part for part in PINS.left_out if not part.later]


@pytest.mark.parametrize("part", NEVER, ids=lambda part: part.module)
def test_a_page_that_asks_for_what_is_left_out_is_told_why(
    python: Callable[[str], str], part: LeftOut
) -> None:
    (name, told), half_loaded = json.loads(python(ASKED_FOR.format(name=part.module)))
    assert (name, half_loaded) == (part.module, [])
    assert part.reason in told
    assert "the full wheel has it" in told


def test_a_realm_that_should_last_is_refused_before_a_store_is_loaded(
    python: Callable[[str], str],
) -> None:
    told, loaded = json.loads(python(REFUSED))
    assert told is not None
    assert told[0] == "CAPABILITY_UNAVAILABLE"
    assert "memory only" in told[1]
    assert loaded == []
