"""Whatever a model may do in one answer. No tests."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from meerkat_mob.core.messages import AssistantBlock
from tests.llm.responses.kit import (
    Event,
    look_up,
    reasoned,
    refuse,
    say,
    text,
    think,
    think_aloud,
    use,
    used,
)

_TEXT = st.text(min_size=1, max_size=12)
_ARGS = st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=2).map(
    lambda args: msgspec.json.encode(args, order="sorted").decode()
)
Script: TypeAlias = list[tuple[str, Any]]
"""What a model does, item by item."""

SCRIPTS: Final[st.SearchStrategy[Script]] = st.lists(
    st.one_of(
        st.tuples(st.just("say"), _TEXT),
        st.tuples(st.just("refuse"), _TEXT),
        st.tuples(st.just("think"), st.lists(_TEXT, max_size=3)),
        st.tuples(st.just("think_aloud"), _TEXT),
        st.tuples(st.just("use"), _ARGS),
        st.tuples(st.just("look_up"), st.none()),
    ),
    max_size=6,
)


def played(script: Script) -> tuple[list[list[Event]], list[AssistantBlock]]:
    """The events of each item, and the blocks that they make."""
    items: list[list[Event]] = []
    blocks: list[AssistantBlock] = []
    spoken = ""
    for index, (kind, what) in enumerate(script):
        if kind in {"say", "refuse"}:
            items.append(say(index, what) if kind == "say" else refuse(index, what))
            if spoken:
                blocks.pop()
            spoken = f"{spoken}\n\n{what}" if spoken else what
            blocks.append(text(spoken))
            continue
        spoken = spoken if kind == "look_up" else ""
        match kind:
            case "think":
                items.append(think(index, *what))
                blocks.extend(reasoned(part, index) for part in what[:-1])
                blocks.append(reasoned(what[-1] if what else "", index, "gAAA"))
            case "think_aloud":
                items.append(think_aloud(index, what))
                blocks.append(reasoned(what))
            case "use":
                items.append(use(index, "look", what))
                blocks.append(used(index, "look", what))
            case _:
                items.append(look_up(index))
    return items, blocks
