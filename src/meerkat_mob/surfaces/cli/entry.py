"""Where the command begins. Its libraries belong to an extra, so their absence is explained."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

NEEDED = ("click", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``meerkat-mob``; returns its exit code."""
    try:
        for name in NEEDED:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        sys.stderr.write(
            f"meerkat-mob: the command needs {error.name}: pip install 'meerkat-mob[cli]'\n"
        )
        return 1
    from meerkat_mob.surfaces.cli.commands import invoke

    return invoke(argv)
