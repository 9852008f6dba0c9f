"""The shell of a member: commands below a root, and jobs that go on behind its runs. Host only."""

from meerkat_mob.agent.shell.jobs import JobBoard, ShellJobs
from meerkat_mob.agent.shell.limits import ShellLimits
from meerkat_mob.agent.shell.tools import Shell

__all__ = ("JobBoard", "Shell", "ShellJobs", "ShellLimits")
