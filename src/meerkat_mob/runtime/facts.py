"""What is written of a session's inbox, in the stream of its session.

That inputs were applied is no fact of its own: the receipt of a run says so, and that of a failed
run names those that ended with it (``meerkat_mob.sessions.facts``). So no input can be applied
and still wait, or wait for ever, whatever a crash cuts off.

These structs are the format on disk: a change to one is a new version of its record.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.input_wire import encode_input
from meerkat_mob.core.inputs import Input
from meerkat_mob.runtime.policy import Policy
from meerkat_mob.runtime.state import RuntimeState
from meerkat_mob.store import NewRecord

ACCEPTED: Final = "input_accepted"
RECOVERED: Final = "inputs_recovered"
STAGED: Final = "inputs_staged"
PUT_BACK: Final = "inputs_put_back"
ENDED: Final = "inputs_ended"
STATE: Final = "runtime_state"


class InputAccepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input is in the queue; ``admission`` is its place.

    ``begins`` says that it is run at once: its first attempt, with no fact and no commit of its
    own (INP-1).
    """

    item: msgspec.Raw
    policy: Policy
    admission: int
    begins: bool = False


class InputsRecovered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A restart found these inputs, and they wait again (DUR-5)."""

    input_ids: tuple[str, ...]


class InputsStaged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Inputs, of which a restart found some in the queue, are being run: one more attempt (INP-1).

    A batch that never met a restart needs no such fact, so one that waited behind others for its
    first run, and died in it, has that run for nothing.
    """

    run_id: str
    input_ids: tuple[str, ...]


class InputsPutBack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process ended in good order while these inputs were being run: that was no attempt."""

    input_ids: tuple[str, ...]


class InputsEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Inputs that no run will apply; ``error`` is the code and ``told`` the text of why."""

    input_ids: tuple[str, ...]
    reason: str
    error: str | UnsetType = UNSET
    told: str | UnsetType = UNSET


class StateChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The runtime was retired, stopped or destroyed, or takes inputs again."""

    state: RuntimeState


RuntimeFact: TypeAlias = (
    InputAccepted | InputsRecovered | InputsStaged | InputsPutBack | InputsEnded | StateChanged
)

_KINDS: Final[dict[type[RuntimeFact], str]] = {
    InputAccepted: ACCEPTED,
    InputsRecovered: RECOVERED,
    InputsStaged: STAGED,
    InputsPutBack: PUT_BACK,
    InputsEnded: ENDED,
    StateChanged: STATE,
}
_encoder: Final = msgspec.json.Encoder()


def record_of(fact: RuntimeFact) -> NewRecord:
    """A fact as it is stored."""
    return NewRecord(kind=_KINDS[type(fact)], body=_encoder.encode(fact))


def accepted(item: Input, policy: Policy, admission: int, *, begins: bool = False) -> InputAccepted:
    """The fact of an input."""
    raw = msgspec.Raw(encode_input(item))
    return InputAccepted(item=raw, policy=policy, admission=admission, begins=begins)


def key_of(session_id: str, key: str) -> str:
    """The unique key that an idempotency key takes in the store, for ever.

    With the length of the id: both may have any character, and no two pairs may meet.
    """
    return f"input:{len(session_id)}:{session_id}:{key}"
