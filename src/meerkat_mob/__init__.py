"""Teams of LLM agents described as data, in a browser tab or on the host.

This is the front door: a realm, its mobs and their members, the definition of a team, and what
can go wrong. The rooms behind it are importable by their own names.
"""

from __future__ import annotations

from meerkat_mob.agent import tool
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.content import Content, ImageBlock, TextBlock
from meerkat_mob.core.output_schema import output_of
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import MeerkatError
from meerkat_mob.llm import LlmClient, PlainLlm
from meerkat_mob.mob import (
    Lagged,
    Member,
    MemberEvent,
    Mob,
    MobEvent,
    MobState,
    Realm,
    SpawnSpec,
    addressee,
    default_members,
    open_realm,
    spawn_team,
)
from meerkat_mob.mob.definition import (
    Diagnostic,
    MobDefinition,
    Pack,
    load_definition,
    load_pack,
    parse_definition,
    validate,
)

__version__ = "0.1.0"

__all__ = (
    "CompactionPolicy",
    "Content",
    "Diagnostic",
    "ImageBlock",
    "Lagged",
    "LlmClient",
    "MeerkatError",
    "Member",
    "MemberEvent",
    "Mob",
    "MobDefinition",
    "MobEvent",
    "MobState",
    "Pack",
    "PlainLlm",
    "Realm",
    "SpawnSpec",
    "TextBlock",
    "Tool",
    "Toolbox",
    "__version__",
    "addressee",
    "default_members",
    "load_definition",
    "load_pack",
    "open_realm",
    "output_of",
    "parse_definition",
    "spawn_team",
    "tool",
    "typed_tool",
    "validate",
)
