"""What holds for every file of ours: its size, its docstring, its words, and what it may ask."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "meerkat_mob"
MOST_LINES = 500
LONGER = {"src/meerkat_mob/errors/common.py": 700}  # one tree in two files, on purpose
BANNED_WORDS = re.compile(r"Manager|Handler|Helper|Util|^Base[A-Z]|^Abstract|Impl$")


def ours(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


EVERYWHERE = ours("src", "tests", "scripts", "benchmarks")


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def calls(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_every_module_says_what_it_is_for() -> None:
    """By a docstring: its purpose, and the rule it must not break."""
    silent = [name_of(file) for file in EVERYWHERE if not ast.get_docstring(tree_of(file))]
    assert silent == []


def test_every_module_fits_on_a_few_screens() -> None:
    """A longer one wants to be split by what its parts are about."""
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in EVERYWHERE}
    assert {
        name: lines for name, lines in lengths.items() if lines > LONGER.get(name, MOST_LINES)
    } == {}


def test_class_names_are_nouns_of_the_domain() -> None:
    vague = [
        f"{name_of(file)}: {node.name}"
        for file in ours("src")
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and BANNED_WORDS.search(node.name)
    ]
    assert vague == []


def test_only_the_target_module_asks_which_interpreter_this_is() -> None:
    asking = [
        name_of(file)
        for file in ours("src")
        if any(word in file.read_text() for word in ("sys.platform", "platform.system", "os.name"))
    ]
    assert asking == ["src/meerkat_mob/_target.py"]


def test_no_loop_is_started_below_the_surfaces() -> None:
    starting = [
        name_of(file)
        for file in ours("src")
        if (SRC / "surfaces") not in file.parents
        and {"asyncio.run", "asyncio.Runner", "asyncio.new_event_loop"} & set(calls(tree_of(file)))
    ]
    assert starting == []


def test_public_exceptions_are_declared_in_one_place() -> None:
    elsewhere = [
        f"{name_of(file)}: {node.name}"
        for file in ours("src")
        if (SRC / "errors") not in file.parents
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any(re.search(r"(Error|Exception)$", ast.unparse(base)) for base in node.bases)
    ]
    assert elsewhere == []


def test_the_init_of_a_room_re_exports_and_does_nothing_else() -> None:
    busy = [
        f"{name_of(file)}:{node.lineno}"
        for file in ours("src")
        if file.name == "__init__.py"
        for node in tree_of(file).body
        if not _only_tells(node)
    ]
    assert busy == []


def _only_tells(node: ast.stmt) -> bool:
    """A docstring, an import, or a dunder such as ``__all__``."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return bool(targets) and all(ast.unparse(target).startswith("__") for target in targets)
