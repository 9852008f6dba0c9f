"""Tools that come with the library: the time, patches to files below a root, images to look at."""

from meerkat_mob.agent.builtins.datetime import datetime_tool
from meerkat_mob.agent.builtins.toolbox import builtin_tools

__all__ = ("builtin_tools", "datetime_tool")
