"""The page's build of our wheel: the same package and version, without what a page never loads.

What is left out stands in ``web/wheels.toml``, with its reason, and nowhere else. What stays is
the same code on the same lines. No module that stays may need one that does not: the build ends
when one does, and says where. The build tag ``0page`` tells the two wheels apart; the version does
not, since it is the same one.
"""

import ast
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.wheels import LeftOut, MayImport, Pins

BUILD: Final = "0page"
LATER: Final = "meerkat-mob-dialects"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # no clock in a zip: the same code, the same bytes
PLAIN_FILE: Final = 0o100644 << 16
COMMANDS: Final = ".dist-info/entry_points.txt"  # a tab has no commands
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def thin(wheel: Path, into: Path, pins: Pins) -> Path:
    """Write the page's build of ``wheel`` into a folder of its own.

    Ends the program when the list names nothing, or leaves out what is needed.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    faults = [*stale(files, pins.left_out), *astray(files, pins.left_out, pins.may_import)]
    if faults:
        raise SystemExit("\n".join(["the page's wheel would not work:", *faults]))
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.whl"):
        old.unlink()
    target = into / wheel.name.replace("-py3-", f"-{BUILD}-py3-")
    write(thinned(files, pins.left_out), target)
    return target


def second(wheel: Path, into: Path, pins: Pins) -> Path:
    """Write the wheel of what comes later: more modules of the same package."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    later = [part for part in pins.left_out if part.later]
    kept = {
        path: without_docstrings(content.decode()).encode()
        for path, content in files.items()
        if path.endswith(".py") and left(module_of(path), later) is not None
    }
    version = wheel.name.split("-")[1]
    home = f"{LATER.replace('-', '_')}-{version}.dist-info"
    told = f"Metadata-Version: 2.4\nName: {LATER}\nVersion: {version}\nRequires-Dist: httpx2\n"
    kept[f"{home}/METADATA"] = told.encode()
    kept[f"{home}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    target = into / f"{LATER.replace('-', '_')}-{version}-py3-none-any.whl"
    write(kept, target)
    return target


def thinned(files: Mapping[str, bytes], left_out: Sequence[LeftOut]) -> dict[str, bytes]:
    """The files of the page's build, its record aside."""
    kept: dict[str, bytes] = {}
    for path, content in files.items():
        gone = left(module_of(path), left_out)
        if path.endswith((COMMANDS, ".dist-info/RECORD")):
            continue
        if path.endswith(".dist-info/WHEEL"):
            kept[path] = content.rstrip() + f"\nBuild: {BUILD}\n".encode()
        elif gone is not None and path.endswith(".py") and module_of(path) == gone.module:
            if not gone.later:  # its place is taken by the second wheel, whichever is first
                kept[path] = absent(gone).encode()
        elif gone is None:
            is_code = path.endswith(".py")
            kept[path] = without_docstrings(content.decode()).encode() if is_code else content
    return kept


def absent(part: LeftOut) -> str:
    """What stands in the place of a module that was left out: the answer to who imports it."""
    told = f"{part.module} is not in the page's build of meerkat-mob ({part.reason})"
    what_next = "the full wheel has it"
    return f"raise ModuleNotFoundError({f'{told}; {what_next}'!r}, name={part.module!r})\n"


def write(files: Mapping[str, bytes], target: Path) -> None:
    """Write a wheel whose bytes depend on its files alone, its metadata and record last.

    The record has no hash of each file, of which nothing could be packed: the page's lock file has
    the hash of the whole, and that is looked at before anything is unpacked.
    """
    ordered = sorted(files.items(), key=lambda item: (".dist-info/" in item[0], item[0]))
    (home,) = {path.partition("/")[0] for path in files if ".dist-info/" in path}
    record = "".join(f"{path},,\n" for path, _ in ordered)
    ordered.append((f"{home}/RECORD", f"{record}{home}/RECORD,,\n".encode()))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in ordered:
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, PLAIN_FILE
            archive.writestr(entry, content)


# -- what may be left out ----------------------------------------------------------------------


def module_of(path: str) -> str:
    """The module of a file in a wheel; a folder's files that are no code belong to the folder."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def left(module: str, left_out: Sequence[LeftOut]) -> LeftOut | None:
    """The entry by which a module, or a name in it, is left out."""
    for part in left_out:
        if module == part.module or module.startswith(f"{part.module}."):
            return part
    return None


def stale(files: Mapping[str, bytes], left_out: Sequence[LeftOut]) -> list[str]:
    """Entries of the list for which the wheel has no module."""
    modules = {module_of(path) for path in files if path.endswith(".py")}
    return [
        f"web/wheels.toml leaves out {part.module}, which does not exist: strike it out"
        for part in left_out
        if part.module not in modules
    ]


def astray(
    files: Mapping[str, bytes], left_out: Sequence[LeftOut], allowed: Sequence[MayImport]
) -> list[str]:
    """Imports, in the modules that stay, of what does not: where, of what, and what to do."""
    permits = {(permit.module, permit.imports) for permit in allowed}
    faults: list[str] = []
    for path, content in sorted(files.items()):
        module = module_of(path)
        if not path.endswith(".py") or left(module, left_out) is not None:
            continue
        for line, in_function, name in imports(ast.parse(content)):
            part = left(name, left_out)
            if part is None or (in_function and (module, part.module) in permits):
                continue
            what_next = (
                "list it under may_import if no page gets there"
                if in_function
                else "import it where it is needed, or let the page have it"
            )
            faults.append(
                f"{path}:{line} imports {part.module}, which web/wheels.toml leaves out"
                f" ({part.reason}): {what_next}"
            )
    return faults


def imports(node: ast.AST, *, in_function: bool = False) -> Iterator[tuple[int, bool, str]]:
    """Each imported name in full, with its line, and whether it waits for a function's call.

    What stands under ``if TYPE_CHECKING`` is imported by nobody.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            source = f"{child.module}." if isinstance(child, ast.ImportFrom) else ""
            for alias in child.names:
                yield child.lineno, in_function, source + alias.name
        else:
            yield from imports(child, in_function=in_function or isinstance(child, FUNCTIONS))


# -- what nobody reads in a page ---------------------------------------------------------------


def without_docstrings(source: str) -> str:
    """The same code on the same lines, with empty docstrings for its modules and functions.

    A class keeps its own: it may become part of a schema that a model reads.
    """
    lines = source.split("\n")
    for text in unread(ast.parse(source)):
        first, end = text.lineno - 1, text.end_lineno or text.lineno
        before = lines[first].encode()[: text.col_offset].decode()
        after = lines[end - 1].encode()[text.end_col_offset :].decode()
        if not before.strip() and not after.strip():
            lines[first:end] = [f'{before}""', *[""] * (end - first - 1)]
    return "\n".join(lines)


def unread(tree: ast.Module) -> Iterator[ast.Expr]:
    """Statements that are a text and nothing else, a class's docstring aside."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            for statement in node.body[isinstance(node, ast.ClassDef) :]:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str())):
                        yield statement
                    case _:
                        pass
