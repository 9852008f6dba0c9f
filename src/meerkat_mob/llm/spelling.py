"""Names of tools and ids of calls, spelt so that every provider takes them. No I/O in here.

Providers refuse a whole request for one name that has a dot in it or is too long, and so they would
refuse every later request of that conversation. The rule: what they all take stays as it is;
anything else gets one spelling, always the same and shared with no other name, by its hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.core.tools import ToolDef
from meerkat_mob.llm.client import LlmEvent, LlmToolCallComplete, LlmToolCallDelta

LONGEST: Final = 64
"""Characters that every provider takes in a tool's name, and in a call's id."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_IS_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")
_HASH: Final = 12
"""Characters of the hash: two names of one team never share them."""


@lru_cache(maxsize=1024)  # a conversation has few names, and says them often
def spelt_name(name: str) -> str:
    """A tool's name for the wire."""
    if _NAME.fullmatch(name) is not None:
        return name
    spelt = _spelt(name, LONGEST - 1)
    return spelt if _NAME.fullmatch(spelt) is not None else f"_{spelt}"


def spelt_id(call: str) -> str:
    """A call's id for the wire."""
    return call if _IS_ID(call) is not None else _spelt(call, LONGEST)


def short_id(call: str, longest: int) -> str:
    """A call's id for who takes any characters, but not any number of them."""
    return call if 0 < len(call) <= longest else _spelt(call, longest)


def _spelt(name: str, longest: int) -> str:
    told = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{_STRANGE.sub('_', name[: longest - _HASH - 1])}_{told}"


def respelt(tools: Iterable[ToolDef]) -> Mapping[str, str]:
    """The true names of those tools that have another one on the wire, by that."""
    names = [tool.name for tool in tools]
    return {spelt: name for name in names if (spelt := spelt_name(name)) != name}


def truly(event: LlmEvent, names: Mapping[str, str]) -> LlmEvent:
    """An event with the true name of the tool that it calls."""
    match event:
        case LlmToolCallComplete(name=name) if name in names:
            return replace(event, name=names[name])
        case LlmToolCallDelta(name=name) if name is not UNSET and name in names:
            return replace(event, name=names[name])
        case _:
            return event
