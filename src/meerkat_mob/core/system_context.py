"""What the runtime wants the model to know at its next call (spec sessions 1.6).

An append waits until an LLM boundary takes it. A key, once seen, is known for ever, so that a
retry after the application is still a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.errors import InvalidParams, SystemContextConflict

AppendStatus: TypeAlias = Literal["applied", "staged", "duplicate"]
"""What became of an append; ``applied`` is said only by a service that writes it at once."""

HEADING: Final = "[Runtime System Context]"
SEPARATOR: Final = "\n\n---\n\n"


class PendingAppend(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A text that waits for the next boundary; ``accepted_at`` in ms."""

    text: str
    source: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    accepted_at: int


class SeenAppend(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a key was first used for, and whether that was applied."""

    text: str
    source: str | UnsetType = UNSET
    state: Literal["pending", "applied"]


class SystemContextState(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What waits, and every key ever seen."""

    pending: tuple[PendingAppend, ...] = ()
    seen: Mapping[str, SeenAppend] = {}


def stage_append(
    state: SystemContextState,
    text: str,
    *,
    now: int,
    source: str | UnsetType = UNSET,
    key: str | UnsetType = UNSET,
    session_id: str = "",
) -> tuple[SystemContextState, AppendStatus]:
    """Lets a text wait for the next boundary (SES-20).

    Raises ``InvalidParams`` for blank text, ``SystemContextConflict`` for a key that was used for
    another text or source (it names ``session_id``).
    """
    text = text.strip()
    if not text:
        raise InvalidParams(what="system context text is blank", path="text", hint="give some text")
    seen = state.seen
    if key is not UNSET:
        if known := seen.get(key):
            if (known.text, known.source) == (text, source):
                return state, "duplicate"
            raise SystemContextConflict(key=key, session_id=session_id)
        seen = {**seen, key: SeenAppend(text=text, source=source, state="pending")}
    append = PendingAppend(text=text, source=source, idempotency_key=key, accepted_at=now)
    return SystemContextState(pending=(*state.pending, append), seen=seen), "staged"


def mark_pending_applied(
    state: SystemContextState, taken: Sequence[PendingAppend] | None = None
) -> SystemContextState:
    """A boundary took what waited; its keys are known as applied (SES-21).

    ``taken`` are the first of those that waited, when more have come meanwhile.
    """
    count = len(state.pending) if taken is None else len(taken)
    if not count:
        return state
    seen = dict(state.seen)
    for append in state.pending[:count]:
        key = append.idempotency_key
        if key is not UNSET and key in seen:
            seen[key] = msgspec.structs.replace(seen[key], state="applied")
    return SystemContextState(pending=state.pending[count:], seen=seen)


def render_append(append: PendingAppend) -> str:
    """One block of context as the model reads it (SES-22)."""
    source = "" if append.source is UNSET else f"\nsource: {append.source}"
    return f"{HEADING}{source}\n\n{append.text}"


def render_prompt(prompt: str, appends: Iterable[PendingAppend]) -> str:
    """The system prompt with blocks of context behind it (SES-22); an empty prompt adds nothing."""
    parts = (prompt, *(render_append(append) for append in appends))
    return SEPARATOR.join(part for part in parts if part)
