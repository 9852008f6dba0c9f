"""How each kind of input is treated: one table (spec sessions 5.4).

Deciding is pure; what the decision means is done by the inbox and the run loop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from meerkat_mob.core.inputs import (
    Boundary,
    Input,
    InputKind,
    PeerInput,
    RequestConvention,
    kind_of,
)
from meerkat_mob.core.messages import HandlingMode

Lane: TypeAlias = Literal["steer", "queue"]
POLICY_VERSION: Final = 1


class Policy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happens to an admitted input.

    ``wakes`` tells whether it starts a run by itself; an input that does not is passive: it
    waits, and precedes the next run. ``boundary`` is where it is applied.
    """

    lane: Lane
    boundary: Boundary
    wakes: bool
    alone: bool
    version: int = POLICY_VERSION


_LANES: Final[Mapping[HandlingMode, tuple[Lane, Boundary]]] = {
    "queue": ("queue", "run_start"),
    "steer": ("steer", "run_checkpoint"),
}

_ALONE: Final[Mapping[InputKind, bool]] = {
    "prompt": True,
    "peer_message": False,
    "peer_request": False,
}
"""A prompt is a batch of its own; what peers sent is taken together (BAT-1)."""


def decide(item: Input, *, silent_intents: Collection[str], keep_alive: bool) -> Policy:
    """The policy of an input.

    A request with a silent intent never wakes (POL-1). What peers send wakes a session that is
    kept alive; one that is only driven turn by turn finds it in front of its next turn.
    """
    lane, boundary = _LANES[item.handling_mode]
    wakes = True
    if isinstance(item, PeerInput):
        silent = (
            isinstance(item.convention, RequestConvention)
            and item.convention.intent in silent_intents
        )
        wakes = keep_alive and not silent
    return Policy(lane=lane, boundary=boundary, wakes=wakes, alone=_ALONE[kind_of(item)])
