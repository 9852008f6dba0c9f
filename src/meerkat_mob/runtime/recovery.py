"""From the facts of a session's stream to its inbox, as a restart finds it (DUR-5).

The rule: an input has ended if and only if a fact says so: a receipt that names it, the end of a
failed run that names it, or ``inputs_ended``. All others wait again, at the places they had.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, cast, get_args

import msgspec
from msgspec import UNSET

from meerkat_mob.core.input_wire import decode_input
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.errors import AgentError, StoreCorrupt
from meerkat_mob.runtime import facts
from meerkat_mob.runtime.facts import (
    InputAccepted,
    InputsEnded,
    InputsPutBack,
    InputsRecovered,
    InputsStaged,
    StateChanged,
)
from meerkat_mob.runtime.inbox import (
    ATTEMPTS,
    LEGAL,
    Abandoned,
    AbandonReason,
    CompletedWithoutResult,
    InputPhase,
    InputRecord,
    Outcome,
)
from meerkat_mob.runtime.state import RuntimeState
from meerkat_mob.sessions import facts as said
from meerkat_mob.sessions.facts import Applied, RunBegan, RunEnded
from meerkat_mob.store import Record

_accepted: Final = msgspec.json.Decoder(InputAccepted)
_recovered: Final = msgspec.json.Decoder(InputsRecovered)
_staged: Final = msgspec.json.Decoder(InputsStaged)
_put_back: Final = msgspec.json.Decoder(InputsPutBack)
_ended: Final = msgspec.json.Decoder(InputsEnded)
_state: Final = msgspec.json.Decoder(StateChanged)
_began: Final = msgspec.json.Decoder(RunBegan)
_applied: Final = msgspec.json.Decoder(Applied)
_run_ended: Final = msgspec.json.Decoder(RunEnded)


class RecoveryReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a restart found: inputs that had not ended, and what becomes of them."""

    recovered: int = 0
    requeued: int = 0
    abandoned: int = 0


class InboxFold:
    """The inputs and receipts of one session, from its records in their order."""

    def __init__(self) -> None:
        self.inputs: dict[str, InputRecord] = {}
        self.receipts: OrderedDict[tuple[str, int], Receipt] = OrderedDict()
        self.state = RuntimeState.IDLE

    def add(self, records: Sequence[Record]) -> None:
        """Takes more records. Raises ``StoreCorrupt`` for one that says what it cannot."""
        for record in records:
            if record.kind not in _KNOWN:
                continue
            try:
                self._take(record)
            except (ValueError, KeyError, msgspec.MsgspecError) as fault:
                raise StoreCorrupt(
                    stream=record.stream, seq=record.seq, why=f"it is no fact of an inbox: {fault}"
                ) from fault

    def waiting(self) -> tuple[InputRecord, ...]:
        """What had not ended, in the order of admission."""
        found = (r for r in self.inputs.values() if LEGAL[r.phase])
        return tuple(sorted(found, key=lambda r: r.admission))

    def ended(self) -> tuple[InputRecord, ...]:
        """What had ended, in the order of its end."""
        return tuple(r for r in self.inputs.values() if not LEGAL[r.phase])

    # -- one kind each -------------------------------------------------------------------------

    def _take(self, record: Record) -> None:
        match record.kind:
            case facts.ACCEPTED:
                self._accept(record)
            case facts.RECOVERED:
                self._recover(record)
            case facts.STAGED:
                self._stage(record)
            case facts.PUT_BACK:
                self._put_back(record)
            case facts.ENDED:
                self._end(record)
            case said.RUN_BEGAN:
                self._begin(record)
            case said.APPLIED:
                self._consume(_applied.decode(record.body).receipt, record)
            case said.RUN_ENDED:
                self._end_run(record)
            case _:
                self.state = _state.decode(record.body).state

    def _accept(self, record: Record) -> None:
        fact = _accepted.decode(record.body)
        item = decode_input(fact.item)
        self.inputs[item.header.id] = InputRecord(
            item=item,
            policy=fact.policy,
            admission=fact.admission,
            attempts=int(fact.begins),
            created_at=record.at,
            updated_at=record.at,
        )

    def _recover(self, record: Record) -> None:
        for input_id in _recovered.decode(record.body).input_ids:
            before = self.inputs[input_id]
            self.inputs[input_id] = msgspec.structs.replace(
                before, recoveries=before.recoveries + 1
            )

    def _stage(self, record: Record) -> None:
        fact = _staged.decode(record.body)
        for input_id in fact.input_ids:
            self._move(input_id, record, run_id=fact.run_id, attempt=True)

    def _put_back(self, record: Record) -> None:
        for input_id in _put_back.decode(record.body).input_ids:
            before = self.inputs.get(input_id)
            if before is not None:  # what is not durable was never written
                self.inputs[input_id] = msgspec.structs.replace(
                    before, attempts=max(before.attempts - 1, 0), updated_at=record.at
                )

    def _begin(self, record: Record) -> None:
        fact = _began.decode(record.body)
        for input_id in fact.input_ids:
            self._move(input_id, record, run_id=fact.run_id, noted=True)

    def _end_run(self, record: Record) -> None:
        fact = _run_ended.decode(record.body)
        if fact.receipt is not UNSET:
            self._consume(fact.receipt, record)
        elif fact.input_ids is not UNSET:
            code = "" if fact.error is UNSET else fact.error
            reason: AbandonReason = "cancelled" if fact.outcome == "cancelled" else "apply_failed"
            outcome = Abandoned(reason=reason, error=_told(code, ""))
            run_id = None if fact.run_id is UNSET else fact.run_id
            for input_id in fact.input_ids:
                self._move(input_id, record, run_id=run_id, outcome=outcome)

    def _end(self, record: Record) -> None:
        fact = _ended.decode(record.body)
        code = "" if fact.error is UNSET else fact.error
        told = "" if fact.told is UNSET else fact.told
        for input_id in fact.input_ids:
            outcome = Abandoned(reason=_reason(fact.reason), error=_told(code, told))
            self._move(input_id, record, outcome=outcome)

    def _consume(self, receipt: Receipt, record: Record) -> None:
        self.receipts[receipt.run_id, receipt.sequence] = receipt
        for input_id in receipt.contributing_input_ids:
            if input_id in self.inputs:
                outcome = CompletedWithoutResult()
                self._move(input_id, record, run_id=receipt.run_id, outcome=outcome)

    def _move(
        self,
        input_id: str,
        record: Record,
        *,
        run_id: str | None = None,
        outcome: Outcome | None = None,
        attempt: bool = False,
        noted: bool = False,
    ) -> None:
        before = self.inputs.pop(input_id, None)
        if before is None:
            return  # a run may be asked for by somebody who has no inbox
        consumed = isinstance(outcome, CompletedWithoutResult)
        phase = InputPhase.CONSUMED if consumed else InputPhase.ABANDONED
        self.inputs[input_id] = msgspec.structs.replace(
            before,
            phase=before.phase if outcome is None else phase,
            run_id=run_id or before.run_id,
            outcome=outcome,
            attempts=before.attempts + attempt,
            noted=before.noted or noted,
            updated_at=record.at,
        )


_KNOWN: Final = frozenset(
    {
        facts.ACCEPTED,
        facts.RECOVERED,
        facts.STAGED,
        facts.PUT_BACK,
        facts.ENDED,
        facts.STATE,
        said.RUN_BEGAN,
        said.APPLIED,
        said.RUN_ENDED,
    }
)
"""All others say nothing of an inbox."""


def is_exhausted(record: InputRecord) -> bool:
    """Whether an input was tried often enough by runs whose end was not kept (INP-1)."""
    return record.attempts >= ATTEMPTS


def _reason(text: str) -> AbandonReason:
    known = get_args(AbandonReason)
    return cast("AbandonReason", text) if text in known else "apply_failed"


def _told(code: str, text: str) -> AgentError | None:
    """What a sender can still be told of an error that another process had."""
    return AgentError(text or f"the run failed ({code})") if code or text else None
