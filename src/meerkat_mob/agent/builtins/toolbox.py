"""Which of the tools that come with the library a member gets.

The rule: without a root there is no tool that touches files.
"""

from __future__ import annotations

from pathlib import Path

from meerkat_mob import _target
from meerkat_mob.agent.builtins.datetime import datetime_tool
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.tools import Tool


def builtin_tools(
    *, root: Path | str | None = None, clock: Clock = _target.now_ms
) -> tuple[Tool, ...]:
    """``datetime``, and with a ``root`` also ``apply_patch`` and ``view_image`` for what is in it.

    ``clock`` gives milliseconds since 1970, UTC. Raises ``InvalidParams`` when ``root`` is
    no folder.
    """
    always = (datetime_tool(clock),)
    if root is None:
        return always
    # Imported here: a page has no root, and does not carry what works on files.
    from meerkat_mob.agent.builtins.apply_patch import apply_patch_tool  # noqa: PLC0415
    from meerkat_mob.agent.builtins.view_image import view_image_tool  # noqa: PLC0415

    return (*always, apply_patch_tool(root), view_image_tool(root))
