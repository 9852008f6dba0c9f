"""The turns of one run: model, tools, boundary, again, until the model has nothing more to call.

A turn is one model call with its tools (spec sessions 4.4). Each phase of ``turns.TABLE`` has one
method here, which does what the phase is for and says what happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.acting import Hands
from meerkat_mob.agent.asking import Model
from meerkat_mob.agent.budget import Budget
from meerkat_mob.agent.compaction import Compaction
from meerkat_mob.agent.extraction import Extraction
from meerkat_mob.agent.guard import Guard
from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.agent.turns import Event, Phase, follow
from meerkat_mob.core.events import (
    Emit,
    ModelFallback,
    Retrying,
    RunResult,
    TextComplete,
    TurnCompleted,
    TurnStarted,
)
from meerkat_mob.core.hooks import HookLlmRequest
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantMessage,
    StopReason,
    ToolUseData,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.tools import ToolOutcome
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import CallbackPending, LlmFailed

WARNING: Final = "{}: the provider did not hold its model to that; the answer was held to it here"


class Run:
    """One run of an agent. ``phase`` says where it is; ``turns`` takes it through its phases."""

    def __init__(
        self,
        session_id: str,
        *,
        model: Model,
        hands: Hands,
        guard: Guard,
        around: Surroundings,
        budget: Budget,
        context: RunContext,
        transcript: Transcript,
        emit: Emit,
        retry: RetryPolicy,
        max_turns: int,
        compaction: Compaction,
        form: Extraction | None = None,
    ) -> None:
        self._session_id, self._model, self._hands, self._guard = session_id, model, hands, guard
        self._around, self._budget, self._context = around, budget, context
        self._transcript, self._emit = transcript, emit
        self._retry, self._max_turns, self._form = retry, max_turns, form
        self._text, self._said, self._turns, self._calls = "", "", 0, 0
        self._asked: HookLlmRequest | None = None
        self._retries, self._pause_ms = 0, 0
        self._compaction, self._shortened = compaction, False
        self._uses: tuple[ToolUseData, ...] = ()
        self._denied: Mapping[str, ToolOutcome] = {}
        self._stop_reason: StopReason = "end_turn"
        self._value: Json | UnsetType = UNSET
        self._unsaid: tuple[str, ...] = ()
        self.phase = Phase.READY

    def note(self, event: Event) -> None:
        """Something happened to the run."""
        self.phase = follow(self.phase, event)

    async def turns(self) -> RunResult:
        """Goes on until the run has a result. Raises what ends it otherwise."""
        steps = {
            Phase.CALLING_LLM: self._call_model,
            Phase.ERROR_RECOVERY: self._wait_for_retry,
            Phase.WAITING_FOR_OPS: self._act,
            Phase.DRAINING_BOUNDARY: self._drain,
            Phase.EXTRACTING: self._extract,
        }
        limit = asyncio.timeout(self._budget.seconds)
        try:
            async with limit:
                while (step := steps.get(self.phase)) is not None:
                    self.note(await step())
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._budget.time_is_up() from None
        return RunResult(
            text=self._text,
            session_id=self._session_id,
            usage=self._model.usage,
            turns=self._turns,
            tool_calls=self._calls,
            structured_output=self._value,
            schema_warnings=tuple(map(WARNING.format, self._unsaid)) or UNSET,
        )

    # -- calling the model ---------------------------------------------------------------------

    async def _call_model(self) -> Event:
        if self._asked is None:
            if self._turns >= self._max_turns:
                return self._cut_short(Event.TURN_LIMIT_REACHED, "the run may take no more turns")
            self._asked = await self._prepared()
            if self._asked is None:
                return self._cut_short(Event.BUDGET_EXHAUSTED, "the budget has no room for it")
            self._emit(TurnStarted(turn_number=self._turns))
        try:
            answer = await self._model.ask(self._around, self._budget, self._asked)
        except LlmFailed as failure:
            if not await self._made_shorter(failure):
                self._plan_retry(failure)
            return Event.RECOVERABLE_FAILURE
        self._asked, self._retries, self._shortened = None, 0, False
        await self._take(answer)
        return Event.RETURNED_TOOL_CALLS if self._uses else Event.RETURNED_TERMINAL

    async def _prepared(self) -> HookLlmRequest | None:
        """What the next call asks for; None when the budget has no room for it."""
        self._guard.turn = self._turns
        await self._compaction.check(self._around, self._budget)
        in_form = self._around.output is not None
        asked = await self._guard.request(self._model.wanted(in_form=in_form))
        # It takes notes, so nothing may deny the call any more.
        await self._around.refresh(self._turns)
        room = self._model.room(self._budget, self._around, asked.max_tokens)
        return None if room is None else msgspec.structs.replace(asked, max_tokens=room)

    async def _take(self, answer: AssistantMessage) -> None:
        """The answer becomes part of the transcript, as its hooks let it through."""
        answer = await self._guard.answer(answer, self._model.usage)
        answer, self._denied = await self._guard.calls(answer)
        self._uses, self._stop_reason = tool_uses(answer), answer.stop_reason
        self._turns += 1
        self._said = text_of_message(answer)
        if self._said:
            self._text = self._said
            self._emit(TextComplete(content=self._said))
        self._transcript.push(answer)

    async def _made_shorter(self, failure: LlmFailed) -> bool:
        """Whether the call can be made again at once, because its history was too long for it."""
        if failure.reason != "context_exceeded" or self._shortened:
            return False
        self._shortened = await self._compaction.compact(self._around, self._budget)
        self._pause_ms = 0
        return self._shortened

    def _plan_retry(self, failure: LlmFailed) -> None:
        """Says that the call is made again, and when. Raises the failure when it is not."""
        self._retries += 1
        delay = self._retry.delay_ms(self._retries, failure)
        if delay is None:
            self._fall_back(failure)
            return
        self._pause_ms = delay
        self._emit(
            Retrying(
                attempt=self._retries,
                max_attempts=self._retry.max_retries,
                error=str(failure),
                delay_ms=delay,
            )
        )

    def _fall_back(self, failure: LlmFailed) -> None:
        """The rest of the run is another model's. Raises the failure when there is none left."""
        former = self._model.name
        if not self._model.fall_back(failure):
            raise failure
        self._retries, self._pause_ms = 0, 0
        self._emit(ModelFallback(from_model=former, to_model=self._model.name, error=str(failure)))

    async def _wait_for_retry(self) -> Event:
        await asyncio.sleep(self._pause_ms / 1000)
        return Event.RETRY_REQUESTED

    # -- behind its answer ---------------------------------------------------------------------

    async def _act(self) -> Event:
        self._calls += len(self._uses)
        try:
            await self._hands.act(self._uses, self._around.tools, self._budget, self._denied)
        except CallbackPending:
            self.note(Event.TOOL_CALLS_LEFT)
            raise
        return Event.TOOL_CALLS_RESOLVED

    async def _drain(self) -> Event:
        """The boundary between two turns: what came meanwhile joins, if there is another turn."""
        await self._guard.boundary()
        if not self._uses:
            self._emit(TurnCompleted(stop_reason=self._stop_reason, usage=self._model.usage))
        if self._around.output is None:  # else what came meanwhile is no part of this answer
            joined = self._turns < self._max_turns and await self._context.steer()
            if self._uses or joined:
                return Event.BOUNDARY_CONTINUE
            return Event.BOUNDARY_COMPLETE if self._form is None else Event.ENTER_EXTRACTION
        return Event.BOUNDARY_CONTINUE if self._uses else Event.ENTER_EXTRACTION

    # -- an answer in a form -------------------------------------------------------------------

    async def _extract(self) -> Event:
        """Asks for the answer in its form, and looks at what came (EXT-1 to EXT-3)."""
        if self._form is None:
            return Event.VALIDATION_PASSED  # not reached: who has no form enters nothing
        if self._around.output is None:
            self._around.output, event = self._form.output, Event.EXTRACTION_START
            self._say(self._form.request())
            return event
        again = self._form.take(self._said)
        if again is None:
            self._value, self._unsaid = self._form.value, self._model.unsaid
            return Event.VALIDATION_PASSED
        self._say(again)
        return Event.VALIDATION_FAILED

    def _say(self, text: str) -> None:
        self._transcript.push(UserMessage(content=text))

    def _cut_short(self, event: Event, why: str) -> Event:
        """A run that ends early has what it has said, but not half of a form. Raises for that."""
        if self._form is not None and self._around.output is not None:
            raise self._form.failure(why, self._said)
        return event
