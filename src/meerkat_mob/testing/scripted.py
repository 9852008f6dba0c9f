"""The scripted model, for tests of teams: strict about what it was not told.

The same names are in ``meerkat_mob.llm``; this is where a test looks for them.
"""

from meerkat_mob.llm.reply import Reply, call, fail, hang, say
from meerkat_mob.llm.scripted import ScriptedLlm

__all__ = ("Reply", "ScriptedLlm", "call", "fail", "hang", "say")
