"""The methods about sessions' runtimes and their inputs (spec sessions 5.3, 5.5, 5.10).

They are about sessions, whoever these belong to: an input goes past what a member's profile says
of the world outside. Only here a refusal of an input is a result; in Python it is raised. Every
other error stays the error of its call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.input_wire import encode_input, kept_input
from meerkat_mob.core.inputs import Boundary, Durability, Input
from meerkat_mob.errors import (
    InboxFull,
    InputRejected,
    InvalidParams,
    MeerkatError,
    RuntimeNotReady,
)
from meerkat_mob.runtime import (
    Abandoned,
    Deduplicated,
    InputPhase,
    InputRecord,
    Policy,
    RetireReport,
    RuntimeSessionAdapter,
    RuntimeState,
    RuntimeTerminated,
)
from meerkat_mob.surfaces.rpc.faults import CallError, call_error
from meerkat_mob.surfaces.rpc.host import Host
from meerkat_mob.surfaces.rpc.input_params import AcceptInput, OfInput, input_of
from meerkat_mob.surfaces.rpc.params import OfSession

ApplyMode: TypeAlias = Literal["stage_run_start", "stage_run_boundary", "ignore"]
DrainPolicy: TypeAlias = Literal["queue_next_turn", "steer_batch", "ignore"]
Lane: TypeAlias = Literal["steer", "queue"]

# -- results -----------------------------------------------------------------------------------


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The policy of an input, in upstream's words; there is one queue, so no ``queue_mode``."""

    apply_mode: ApplyMode
    wake_mode: Literal["wake_if_idle", "none"]
    consume_point: Literal["on_run_complete", "on_accept"]
    drain_policy: DrainPolicy
    routing_disposition: Literal["queue", "steer", "drop"]
    record_transcript: bool
    policy_version: int


class Decided(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decision, and the version of the table that it comes from."""

    version: int
    decision: Decision


class ConsumedEnd(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome_type", tag="consumed"
):
    """It was applied, or had an effect when it was accepted."""


class AbandonedEnd(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome_type", tag="abandoned"
):
    """It ended unanswered. ``error`` is what its run failed with; ``detail`` says it in words."""

    reason: str
    detail: str | UnsetType = UNSET
    error: CallError | UnsetType = UNSET


class InputState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an input (INP-3); times in ms UTC.

    ``persisted_input`` is the input as it is written where inputs are kept, with images by name;
    left out when it cannot be written. The history of its states is not kept.
    """

    input_id: str
    current_state: InputPhase
    policy: Decided
    terminal_outcome: ConsumedEnd | AbandonedEnd | UnsetType = UNSET
    durability: Durability
    idempotency_key: str | UnsetType = UNSET
    attempt_count: int
    recovery_count: int
    persisted_input: msgspec.Raw | UnsetType = UNSET
    last_run_id: str | UnsetType = UNSET
    created_at: int
    updated_at: int


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome_type", tag="accepted"):
    """The input was taken, and it is kept where the session is. ``state`` is as of this answer."""

    input_id: str
    policy: Decision
    state: InputState


class Reason(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why an input was not taken. ``state`` is that of a runtime that takes none.

    ``reject_type`` is not_ready, durability_violation, peer_handling_mode_invalid, or inbox_full
    with the ``bound`` that was reached.
    """

    reject_type: str
    state: str | UnsetType = UNSET
    bound: int | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome_type", tag="rejected"):
    """The input was not taken, and left no record."""

    reason: Reason


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime of a session is doing."""

    session_id: str
    state: RuntimeState


class ResetDone(msgspec.Struct, frozen=True, kw_only=True):
    """How many inputs were abandoned."""

    abandoned: int


class ActiveInputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs that have not ended, in the order of their admission."""

    session_id: str
    inputs: tuple[InputState, ...]


# -- methods -----------------------------------------------------------------------------------


async def accept(host: Host, given: AcceptInput) -> Taken | Deduplicated | Refused:
    """Takes an input once. A session that has no inbox here is as good as destroyed (5.10)."""
    adapter, item = _adapter(host), input_of(given.input)
    try:
        outcome = await adapter.accept_input(given.session_id, item)
    except RuntimeNotReady as error:
        return _refused("not_ready", state=error.state)
    except InputRejected as error:
        return _refused(error.reject_type, detail=error.what)
    except InboxFull as error:
        return _refused("inbox_full", bound=error.bound, detail=str(error))
    if isinstance(outcome, Deduplicated):
        return outcome
    record = adapter.input_state(given.session_id, outcome.input_id)
    if record is None:
        raise AssertionError(f"input {outcome.input_id} was taken and is not there")
    state = state_of(record)
    return Taken(input_id=outcome.input_id, policy=state.policy.decision, state=state)


def _refused(
    reject_type: str,
    *,
    state: str | UnsetType = UNSET,
    bound: int | UnsetType = UNSET,
    detail: str | UnsetType = UNSET,
) -> Refused:
    return Refused(reason=Reason(reject_type=reject_type, state=state, bound=bound, detail=detail))


async def runtime_state(host: Host, given: OfSession) -> Standing:
    """What the runtime is doing; destroyed when a session has none here."""
    adapter = await _looked_up(host, given.session_id)
    return Standing(session_id=given.session_id, state=adapter.runtime_state(given.session_id))


async def retire(host: Host, given: OfSession) -> RetireReport:
    """Takes no more input; what asks for a run still has it. Raises ``RuntimeNotReady``."""
    adapter = await _looked_up(host, given.session_id)
    return await adapter.retire_runtime(given.session_id)


async def reset(host: Host, given: OfSession) -> ResetDone:
    """Abandons what waits and takes input again. Raises ``RuntimeNotReady`` while a run goes on."""
    adapter = await _looked_up(host, given.session_id)
    return ResetDone(abandoned=await adapter.reset_runtime(given.session_id))


async def input_state(host: Host, given: OfInput) -> InputState | None:
    """What is known of an input; None when nothing is, or it ended long ago."""
    adapter = await _looked_up(host, given.session_id)
    record = adapter.input_state(given.session_id, given.input_id)
    return None if record is None else state_of(record)


async def input_list(host: Host, given: OfSession) -> ActiveInputs:
    """Every input that has not ended. Raises ``RuntimeNotReady`` for a session without an inbox."""
    adapter = await _looked_up(host, given.session_id)
    active = adapter.list_active_inputs(given.session_id)
    return ActiveInputs(session_id=given.session_id, inputs=tuple(map(state_of, active)))


def _adapter(host: Host) -> RuntimeSessionAdapter:
    return host.realm.service.runtime_adapter()


async def _looked_up(host: Host, session_id: str) -> RuntimeSessionAdapter:
    """The adapter, for a session that is there. Raises ``SessionNotFound`` as a look at it does.

    Without it a wrong id would look like a session whose runtime has ended.
    """
    adapter = _adapter(host)
    if not adapter.contains_session(session_id):
        await host.realm.sessions.read(session_id)
    return adapter


# -- a record as it is shown -------------------------------------------------------------------

_APPLIED: Final[Mapping[Boundary, ApplyMode]] = {
    "run_start": "stage_run_start",
    "run_checkpoint": "stage_run_boundary",
    "immediate": "ignore",
}
_DRAINED: Final[Mapping[Lane, DrainPolicy]] = {
    "queue": "queue_next_turn",
    "steer": "steer_batch",
}


def state_of(record: InputRecord) -> InputState:
    """A record in the form of INP-3."""
    header, policy = record.item.header, record.policy
    return InputState(
        input_id=header.id,
        current_state=record.phase,
        policy=Decided(version=policy.version, decision=decision_of(policy)),
        terminal_outcome=_end_of(record),
        durability=header.durability,
        idempotency_key=header.idempotency_key,
        attempt_count=record.attempts,
        recovery_count=record.recoveries,
        persisted_input=_written(record.item),
        last_run_id=UNSET if record.run_id is None else record.run_id,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def decision_of(policy: Policy) -> Decision:
    """A policy in upstream's words (spec sessions 5.4)."""
    dropped = policy.consumed == "on_accept"
    return Decision(
        apply_mode=_APPLIED[policy.boundary],
        wake_mode="wake_if_idle" if policy.wakes else "none",
        consume_point=policy.consumed,
        drain_policy="ignore" if dropped else _DRAINED[policy.lane],
        routing_disposition="drop" if dropped else policy.lane,
        record_transcript=policy.transcript,
        policy_version=policy.version,
    )


def _end_of(record: InputRecord) -> ConsumedEnd | AbandonedEnd | UnsetType:
    match record.outcome:
        case None:
            return UNSET
        case Abandoned(reason=reason, error=None):
            return AbandonedEnd(reason=reason)
        case Abandoned(reason=reason, error=MeerkatError() as error):
            told = call_error(error)
            return AbandonedEnd(reason=reason, detail=told.message, error=told)
        case RuntimeTerminated(reason=why):
            return AbandonedEnd(reason="runtime_terminated", detail=why)
        case _:
            return ConsumedEnd()


def _written(item: Input) -> msgspec.Raw | UnsetType:
    try:
        named, _ = kept_input(item)
        return msgspec.Raw(encode_input(named))
    except (InvalidParams, UnicodeEncodeError):
        return UNSET  # it is not kept, so nobody asked whether it could be; the others are shown
