"""What a realm gives its members beside their models: hooks, tools, a folder to work in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from meerkat_mob import _target
from meerkat_mob.agent.builtins import builtin_tools
from meerkat_mob.agent.memory import MemoryIndex, RankedIndex
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool

if TYPE_CHECKING:  # a page has no processes, and does not carry it
    from meerkat_mob.agent.mcp import Mcp
    from meerkat_mob.agent.shell import Shell

OFFERED: Final = frozenset({"comms", "mob_tasks", "builtins", "memory", "output_schema"})
"""What a profile may ask for and gets in every realm, on both targets."""


class Offer:
    """``tools`` are for every member, ``bundles`` for the profiles that name them.

    ``root`` is the folder that ``builtins`` may read and change; without one they touch no file.
    ``compaction`` says when the histories of its members become shorter. ``shell`` is for the
    profiles with ``tools.shell``; nobody has one unless it is given. So it is with ``mcp``, and
    the servers that a definition names. ``memory`` is where profiles with ``tools.memory`` search.
    Raises ``InvalidParams`` when two tools have one name, or ``root`` is no folder.
    """

    def __init__(
        self,
        *,
        hooks: Sequence[Hook] = (),
        tools: Iterable[Tool] = (),
        bundles: Mapping[str, Iterable[Tool] | Toolbox] | None = None,
        root: Path | str | None = None,
        compaction: CompactionPolicy | UnsetType = UNSET,
        shell: Shell | None = None,
        mcp: Mcp | None = None,
        memory: MemoryIndex | None = None,
        clock: Clock = _target.now_ms,
    ) -> None:
        self.hooks: Final = tuple(hooks)
        self.toolbox: Final = Toolbox(tools)
        self.bundles: Final[Mapping[str, Toolbox]] = {
            name: found if isinstance(found, Toolbox) else Toolbox(found)
            for name, found in (bundles or {}).items()
        }
        self.compaction: Final = compaction
        self.shell: Final = shell
        self.mcp: Final = mcp
        self.memory: Final = memory or RankedIndex()
        self.builtins: Final = builtin_tools(root=root, clock=clock)

    @property
    def flags(self) -> frozenset[str]:
        """What a profile may ask for and gets."""
        found = OFFERED.union(f"rust_bundles.{name}" for name in self.bundles)
        given = {"shell": self.shell, "mcp": self.mcp}
        return found.union(flag for flag, what in given.items() if what is not None)
