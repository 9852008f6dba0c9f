"""One run of the loop, and how an agent is made."""

from meerkat_mob.agent.build import AgentBuilder, ClientFor
from meerkat_mob.agent.functions import tool
from meerkat_mob.agent.loop import Agent
from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.agent.skills import load_skill_tool, skill_catalogue
from meerkat_mob.agent.spec import AgentSpec
from meerkat_mob.agent.tools import ToolSet

__all__ = (
    "Agent",
    "AgentBuilder",
    "AgentSpec",
    "ClientFor",
    "RetryPolicy",
    "ToolSet",
    "load_skill_tool",
    "skill_catalogue",
    "tool",
)
