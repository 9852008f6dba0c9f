"""Tools that come with the library: the time, patches to files below a root, images to look at."""

from meerkat_mob.agent.builtins.apply_patch import apply_patch_tool
from meerkat_mob.agent.builtins.datetime import datetime_tool
from meerkat_mob.agent.builtins.toolbox import builtin_tools
from meerkat_mob.agent.builtins.view_image import view_image_tool

__all__ = (
    "apply_patch_tool",
    "builtin_tools",
    "datetime_tool",
    "view_image_tool",
)
