"""Every Python example of the README and of docs/ runs, as a reader would run it.

A page's blocks run in order, in one fresh folder and one namespace. A block whose fence names a
file, such as ```` ```toml team.toml ````, is written there first; one marked ``no-run`` is only
compiled, and its page says why it cannot run here.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from meerkat_mob.mob.definition import parse_definition

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[tuple[str, str, str]]:
    """Language, rest of the fence's line, and text of each block."""
    return [(m[1], m[2].strip(), m[3]) for m in FENCE.finditer(page.read_text(encoding="utf-8"))]


def has(page: Path, language: str) -> bool:
    return any(b[0] == language for b in blocks_of(page))


@pytest.mark.parametrize(
    "page", [p for p in PAGES if has(p, "python")], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        for language, info, text in blocks_of(page):
            if info and "no-run" not in info and language != "python":
                Path(info).parent.mkdir(parents=True, exist_ok=True)
                Path(info).write_text(text, encoding="utf-8")
            if language == "python":
                code = compile(text, page.name, "exec", dont_inherit=True)
                if "no-run" not in info:
                    exec(code, namespace)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if has(p, "toml")], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_the_team_files_of_a_page_are_valid(page: Path) -> None:
    for language, _, text in blocks_of(page):
        if language == "toml" and text.lstrip().startswith("[mob]"):
            parse_definition(text, syntax="toml")
