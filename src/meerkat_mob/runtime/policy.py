"""How each kind of input is treated: tables (spec sessions 5.3, 5.4, 5.7).

Deciding is pure; what the decision means is done by the inbox and the run loop. A row has only
what has an effect: there is one queue, so nothing is coalesced, superseded or given priority (W7),
and since kinds are a closed union there is no row for an unknown one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from meerkat_mob.core.inputs import (
    Boundary,
    ExternalSource,
    Input,
    InputKind,
    OperatorSource,
    PeerInput,
    PeerSource,
    RequestConvention,
    Source,
    kind_of,
    mode_of,
)
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.errors import InputRejected

Lane: TypeAlias = Literal["steer", "queue"]
ConsumePoint: TypeAlias = Literal["on_run_complete", "on_accept"]
RejectType: TypeAlias = Literal["durability_violation", "peer_handling_mode_invalid"]
POLICY_VERSION: Final = 1


class Policy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happens to an admitted input.

    ``wakes`` tells whether it starts a run by itself; an input that does not is passive: it
    waits, and precedes the next run. ``boundary`` is where it is applied. ``alone``: in the queue
    lane no other input shares its run. ``transcript``: the model gets a message of it. What is
    consumed on accept ends there and then, and never sees a lane.
    """

    lane: Lane
    boundary: Boundary
    wakes: bool
    alone: bool
    transcript: bool = True
    consumed: ConsumePoint = "on_run_complete"
    version: int = POLICY_VERSION


# -- the table ---------------------------------------------------------------------------------

_QUEUED: Final = Policy(lane="queue", boundary="run_start", wakes=True, alone=False)
_STEERED: Final = Policy(lane="steer", boundary="run_checkpoint", wakes=True, alone=False)

_BY_KIND: Final[Mapping[InputKind, Policy]] = {
    "prompt": msgspec.structs.replace(_QUEUED, alone=True),
    "peer_message": _QUEUED,
    "peer_request": _QUEUED,
    "peer_response_progress": msgspec.structs.replace(_STEERED, wakes=False),
    "peer_response_terminal": _QUEUED,
    "flow_step": _QUEUED,
    "external_event": _QUEUED,
    "continuation": msgspec.structs.replace(_STEERED, transcript=False),
    "operation": Policy(
        lane="queue",
        boundary="immediate",
        wakes=False,
        alone=False,
        transcript=False,
        consumed="on_accept",
    ),
}
"""The row of a kind when the input names no mode."""

_BY_MODE: Final[Mapping[HandlingMode, Policy]] = {"queue": _QUEUED, "steer": _STEERED}
_MODELESS: Final[frozenset[InputKind]] = frozenset({"peer_response_progress", "operation"})
"""Kinds whose row no mode changes."""


def _row(kind: InputKind, mode: HandlingMode | None) -> Policy:
    default = _BY_KIND[kind]
    if mode is None or kind in _MODELESS:
        return default
    return msgspec.structs.replace(
        _BY_MODE[mode], alone=default.alone, transcript=default.transcript
    )


POLICIES: Final[Mapping[tuple[InputKind, HandlingMode | None], Policy]] = {
    (kind, mode): _row(kind, mode) for kind in get_args(InputKind) for mode in (None, *_BY_MODE)
}
"""The row of every kind, with the mode an input names and without one."""


def decide(item: Input, *, silent_intents: Collection[str], keep_alive: bool) -> Policy:
    """The policy of an input.

    A request with a silent intent waits in the queue lane and never wakes, whatever its mode
    (POL-1). What peers send wakes a session that is kept alive; one that is only driven turn by
    turn finds it in front of its next turn.
    """
    kind, mode = kind_of(item), mode_of(item)
    if not isinstance(item, PeerInput):
        return POLICIES[kind, mode]
    convention = item.convention
    if isinstance(convention, RequestConvention) and convention.intent in silent_intents:
        return msgspec.structs.replace(_QUEUED, wakes=False)
    policy = POLICIES[kind, mode]
    return policy if keep_alive else msgspec.structs.replace(policy, wakes=False)


def goes_with(first: Policy, other: Policy) -> bool:
    """Whether an input shares the run of the one before it in its lane (BAT-1).

    Steered inputs of one boundary always do; among queued ones a prompt does not.
    """
    if (first.lane, first.boundary) != (other.lane, other.boundary):
        return False
    return first.lane == "steer" or not (first.alone or other.alone)


# -- admission ---------------------------------------------------------------------------------

_NEVER_DERIVED_FROM: Final[frozenset[type[Source]]] = frozenset(
    {OperatorSource, PeerSource, ExternalSource}
)
_NEVER_DERIVED: Final[frozenset[InputKind]] = frozenset(
    {"prompt", "peer_message", "peer_request", "peer_response_terminal", "flow_step"}
)
"""What nobody could make anew, if it were not kept."""


def rejection(item: Input) -> InputRejected | None:
    """What makes an input inadmissible, whatever the state of its session; None when nothing does.

    Of several reasons the first in the order of the spec.
    """
    kind, header = kind_of(item), item.header
    if header.durability == "derived" and (
        type(header.source) in _NEVER_DERIVED_FROM or kind in _NEVER_DERIVED
    ):
        return _rejected(
            item,
            "durability_violation",
            f"a {kind} from this source could not be derived again; send it as durable",
        )
    if kind == "peer_response_progress" and mode_of(item) is not None:
        return _rejected(
            item,
            "peer_handling_mode_invalid",
            "a response in progress takes no handling_mode; leave that out",
        )
    return None


def _rejected(item: Input, reject_type: RejectType, what: str) -> InputRejected:
    return InputRejected(input_id=item.header.id, reject_type=reject_type, what=what)
