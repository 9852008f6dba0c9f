"""The page's build of our wheel: what it is without, and what ends the build."""

import ast
import csv
import zipfile
from pathlib import Path

import pytest

from scripts.page_wheel import (
    absent,
    astray,
    stale,
    thin,
    thinned,
    unread,
    without_docstrings,
    write,
)
from scripts.places import ROOT
from scripts.wheels import LeftOut, MayImport, Pins, read_pins

ENGINE = LeftOut(module="ours.engine", reason="it is heavy")
INFO = "ours-1.0.dist-info"
SOURCES = sorted((ROOT / "src" / "meerkat_mob").rglob("*.py"))


def a_package(**modules: str) -> dict[str, bytes]:
    """The files of a wheel with an engine in it, and these modules beside it."""
    files = {
        "ours/__init__.py": "",
        "ours/engine/__init__.py": "from ours.engine.gear import TEETH",
        "ours/engine/gear.py": "TEETH = 12",
        "ours/engine/plan.svg": "<svg/>",
        f"{INFO}/METADATA": "Name: ours\nVersion: 1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\nours = ours.engine:run\n",
        f"{INFO}/RECORD": "",
        **{f"ours/{name}.py": code for name, code in modules.items()},
    }
    return {path: content.encode() for path, content in files.items()}


def a_wheel(folder: Path, **modules: str) -> Path:
    wheel = folder / "ours-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in a_package(**modules).items():
            archive.writestr(path, content)
    return wheel


def pins_with(*permits: MayImport) -> Pins:
    return Pins("3.14", "any", {}, {}, {}, (ENGINE,), permits)


# -- what is left out --------------------------------------------------------------------------


def test_what_is_left_out_is_gone_with_all_below_it() -> None:
    kept = thinned(a_package(light="X = 1"), [ENGINE])
    assert set(kept) == {
        "ours/__init__.py",
        "ours/light.py",
        "ours/engine/__init__.py",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
    }
    assert kept["ours/engine/__init__.py"] == absent(ENGINE).encode()


def test_who_imports_what_is_left_out_is_told_why_and_where_it_is() -> None:
    with pytest.raises(ModuleNotFoundError) as raised:
        exec(absent(ENGINE), {})
    assert raised.value.name == "ours.engine"
    assert "ours.engine is not in the page's build" in str(raised.value)
    assert "it is heavy" in str(raised.value)
    assert "the full wheel has it" in str(raised.value)


def test_the_page_s_wheel_is_a_valid_wheel_of_the_same_version(tmp_path: Path) -> None:
    made = thin(a_wheel(tmp_path, light="X = 1"), tmp_path / "page", pins_with())
    assert made.name == "ours-1.0-0page-py3-none-any.whl"
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rows = list(csv.reader(files[f"{INFO}/RECORD"].decode().splitlines()))
    assert {path for path, *_ in rows} == set(files)
    assert all(row[1:] == ["", ""] for row in rows)
    assert rows[-1][0] == f"{INFO}/RECORD"
    assert files[f"{INFO}/WHEEL"].decode().splitlines()[-1] == "Build: 0page"
    assert files[f"{INFO}/METADATA"] == b"Name: ours\nVersion: 1.0\n"


def test_the_same_code_makes_the_same_bytes(tmp_path: Path) -> None:
    files = thinned(a_package(), [ENGINE])
    write(files, tmp_path / "a.whl")
    write(dict(reversed(files.items())), tmp_path / "b.whl")
    assert (tmp_path / "a.whl").read_bytes() == (tmp_path / "b.whl").read_bytes()


# -- what ends the build -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "\nimport ours.engine",
        "\nimport ours.engine.gear as gear",
        "\nfrom ours import engine",
        "\nfrom ours.engine import TEETH",
        "\nfrom ours.engine.gear import TEETH",
        "if True:\n    import ours.engine",
        "class Car:\n    import ours.engine",
        "try:\n    import ours.engine\nexcept ImportError:\n    pass",
    ],
)
def test_a_module_that_stays_may_not_need_one_that_does_not(code: str) -> None:
    permit = MayImport(module="ours.car", imports="ours.engine", reason="never as it loads")
    (fault,) = astray(a_package(car=code), [ENGINE], [permit])
    assert fault.startswith("ours/car.py:2 imports ours.engine, which web/wheels.toml leaves out")
    assert "it is heavy" in fault
    assert "import it where it is needed" in fault


def test_an_import_inside_a_function_needs_to_be_listed() -> None:
    files = a_package(car="async def drive():\n    from ours.engine import TEETH\n")
    (fault,) = astray(files, [ENGINE], [])
    assert fault.startswith("ours/car.py:2 imports ours.engine")
    assert "list it under may_import if no page gets there" in fault
    listed = MayImport(module="ours.car", imports="ours.engine", reason="pages do not drive")
    assert astray(files, [ENGINE], [listed]) == []


def test_what_is_left_out_may_import_itself_and_names_alike_are_not_meant() -> None:
    assert astray(a_package(car="import ours.engineer\nimport engine"), [ENGINE], []) == []


def test_what_only_a_type_checker_imports_is_imported_by_nobody() -> None:
    code = "if TYPE_CHECKING:\n    import ours.engine\n"
    assert astray(a_package(car=code), [ENGINE], []) == []
    assert astray(a_package(car=code.replace("TYPE_CHECKING", "True")), [ENGINE], []) != []


def test_an_entry_for_which_there_is_no_module_is_refused() -> None:
    (fault,) = stale(a_package(), [ENGINE, LeftOut(module="ours.wing", reason="none")])
    assert fault == "web/wheels.toml leaves out ours.wing, which does not exist: strike it out"


def test_a_build_that_would_not_work_ends_and_says_where(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, car="import ours.engine")
    with pytest.raises(SystemExit, match=r"would not work:\nours/car\.py:1 imports ours\.engine"):
        thin(wheel, tmp_path / "page", pins_with())
    assert not (tmp_path / "page").exists()


def test_our_own_list_holds_for_the_source_as_it_is() -> None:
    files = {f.relative_to(ROOT / "src").as_posix(): f.read_bytes() for f in SOURCES}
    pins = read_pins()
    assert stale(files, pins.left_out) == []
    assert astray(files, pins.left_out, pins.may_import) == []


# -- what nobody reads in a page ---------------------------------------------------------------

TEXTS = '''"""Of the
module."""
from __future__ import annotations

class Word:
    """Of the class."""

    size: int
    """Of the
    field."""

    def say(self) -> None:
        """Of the
        method."""
        print("""said
        aloud""")

    def shout(self) -> None:
        """Nothing else."""
'''


def test_texts_that_no_page_reads_are_emptied_and_a_class_keeps_its_own() -> None:
    lines = without_docstrings(TEXTS).split("\n")
    assert len(lines) == len(TEXTS.split("\n"))
    assert [line for line in lines if line] == [
        '""',
        "from __future__ import annotations",
        "class Word:",
        '    """Of the class."""',
        "    size: int",
        '    ""',
        "    def say(self) -> None:",
        '        ""',
        '        print("""said',
        '        aloud""")',
        "    def shout(self) -> None:",
        '        ""',
    ]


def test_a_text_that_shares_its_line_stays() -> None:
    code = 'def f() -> None: """Short."""\n\n\ndef g() -> None:\n    """Why."""  # because\n'
    assert without_docstrings(code) == code


def test_all_of_our_code_stays_on_its_lines() -> None:
    """A traceback in a page names the same places as one on the host."""
    sources = {file.relative_to(ROOT).as_posix(): file.read_text() for file in SOURCES}
    moved = [
        name
        for name, source in sources.items()
        if _shape(ast.parse(without_docstrings(source))) != _shape(ast.parse(source))
    ]
    assert moved == []


def _shape(tree: ast.Module) -> tuple[str, list[tuple[int, int]]]:
    """The code without the texts in question, and where each piece of it begins."""
    for text in unread(tree):
        text.value = ast.Constant("")
    places = [
        (node.lineno, node.col_offset)
        for node in ast.walk(tree)
        if isinstance(node, (ast.stmt, ast.expr)) and hasattr(node, "lineno")
    ]
    return ast.dump(tree), places


def test_no_code_of_ours_reads_a_docstring_of_ours() -> None:
    """``@tool`` reads those of its users; what is ours gives it a description."""
    reading = [file.name for file in SOURCES if {"__doc__", "getdoc"} & _names(file)]
    assert reading == ["functions.py"]
    ours = [file.name for file in SOURCES if _has_undescribed_tool(file)]
    assert ours == []


def _has_undescribed_tool(file: Path) -> bool:
    found = (node for node in ast.walk(ast.parse(file.read_text())))
    marks = (mark for node in found for mark in getattr(node, "decorator_list", ()))
    return any(
        getattr(getattr(mark, "func", mark), "id", "") == "tool"
        and "description" not in {word.arg for word in getattr(mark, "keywords", ())}
        for mark in marks
    )


def _names(file: Path) -> set[str]:
    tree = ast.walk(ast.parse(file.read_text()))
    return {getattr(node, "attr", getattr(node, "id", "")) for node in tree}
