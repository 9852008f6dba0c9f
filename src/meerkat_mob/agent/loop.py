"""One run of an agent: prompt, model, tools, again, until the model has nothing more to call.

A run is one ``run`` or ``run_pending``; a turn is one model call with its tools (spec sessions
4.3, 4.4). Whatever ends a run, the transcript stays valid: each call it holds has a result, and
exactly one event said how it ended (INV-3, INV-7). Only calls that somebody else runs stay open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from contextlib import aclosing
from typing import Final, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.acting import Emit, run_tools
from meerkat_mob.agent.budget import UNLIMITED, Budget
from meerkat_mob.agent.estimate import ContextSize
from meerkat_mob.agent.guard import Guard, with_text
from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.agent.patience import Patience
from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.content import Content
from meerkat_mob.core.events import (
    ReasoningComplete,
    ReasoningDelta,
    Retrying,
    RunCallbackPending,
    RunCompleted,
    RunFailed,
    RunResult,
    RunStarted,
    TextComplete,
    TextDelta,
    ToolCallRequested,
    ToolResultReceived,
    TurnCompleted,
    TurnStarted,
)
from meerkat_mob.core.hooks import Hook, HookLlmRequest
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    RenderMetadata,
    TextData,
    ToolResult,
    ToolResults,
    ToolUseData,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.repair import BUDGET_EXHAUSTED, NOT_STARTED, result_of
from meerkat_mob.core.run_context import NoSession, RunContext
from meerkat_mob.core.tools import ToolOutcome, callback_pending
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    CallbackPending,
    InvalidParams,
    LlmFailed,
    MeerkatError,
    NoPendingBoundary,
    RunCancelled,
)
from meerkat_mob.llm.assembly import Assembler
from meerkat_mob.llm.client import (
    LlmClient,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
)

MAX_TURNS: Final = 100
"""Model calls of one run, when nothing else is said."""


SILENCE_MS: Final = 300_000
"""How long a model's stream may say nothing."""


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same between swaps.

    ``speaker`` is the agent's comms name, if it has one. ``budget`` holds for each run,
    ``session_budget`` for all of the session. A model call may take ``call_timeout_ms``, and be
    silent for ``silence_ms``.
    """

    session_id: str
    model: str
    max_tokens: int = 4096
    max_turns: int = MAX_TURNS
    budget: BudgetLimits = UNLIMITED
    session_budget: BudgetLimits = UNLIMITED
    call_timeout_ms: int | None = None
    silence_ms: int | None = SILENCE_MS
    provider_params: Mapping[str, Json] = {}
    speaker: str = ""
    retry: RetryPolicy = RetryPolicy()


class Agent:
    """A model, its tools and a transcript. One run at a time; the session sees to that."""

    def __init__(
        self,
        spec: AgentSpec,
        *,
        client: LlmClient,
        tools: ToolSet,
        transcript: Transcript,
        emit: Emit,
        clock: Clock,
        context: RunContext | None = None,
        usage: Usage | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._spec, self._client, self._tools = spec, client, tools
        self._transcript, self._emit, self._clock = transcript, emit, clock
        self._context = context or NoSession()
        self.usage = usage or Usage()
        self._size = ContextSize(transcript)
        self._guard = Guard(Hooks(hooks, emit=emit, clock=clock), spec.session_id)

    @property
    def model(self) -> str:
        """The model's name."""
        return self._spec.model

    @property
    def provider(self) -> str:
        """The provider of its client."""
        return self._client.provider

    def swap(self, client: LlmClient, identity: SessionLlmIdentity) -> None:
        """Later model calls go to this client, as this model; one that goes on stays where it is.

        The former client is not closed: it may serve others. Raises ``InvalidParams``, and changes
        nothing, for provider params that are no object.
        """
        params: Json = {} if identity.provider_params is UNSET else identity.provider_params
        if not isinstance(params, Mapping):
            raise InvalidParams(
                what="provider params are no object", path="provider_params", hint="give an object"
            )
        self._spec = msgspec.structs.replace(
            self._spec, model=identity.model, provider_params=params
        )
        self._client = client

    async def run(
        self,
        prompt: Content,
        *,
        preface: Sequence[UserMessage] = (),
        render_metadata: RenderMetadata | UnsetType = UNSET,
    ) -> RunResult:
        """A run that starts from a prompt.

        Raises ``LlmFailed`` when the model fails for good, ``StoreError`` when what must be kept
        before it goes on cannot be, ``CallbackPending`` when it waits for a result from outside,
        and ``CancelledError`` when cancelled, each with the transcript in order;
        ``InvalidParams``, before anything happened, for text that is not Unicode.
        """
        user = UserMessage(content=prompt, render_metadata=render_metadata)
        try:
            self._transcript.push_batch((*preface, user))
        except UnicodeEncodeError as fault:
            raise InvalidParams(
                what=f"this cannot be kept as text: {fault}", path="prompt", hint="send Unicode"
            ) from None
        return await self._run(prompt)

    async def run_pending(self) -> RunResult:
        """A run that continues from what the transcript waits for, or tells what jobs came to.

        It pushes no message.

        Raises ``NoPendingBoundary``, without any event, when it waits for nothing.
        """
        if not self._transcript.has_pending_boundary and self._context.news() is None:
            raise NoPendingBoundary
        return await self._run(UNSET)

    async def _run(self, prompt: Content | UnsetType) -> RunResult:
        session_id = self._spec.session_id
        self._emit(RunStarted(session_id=session_id, prompt=prompt))
        budget = self._budget()
        try:
            await self._guard.begin("" if prompt is UNSET else prompt)
            result = await self._finished(await self._turns_in_time(budget))
        except asyncio.CancelledError:
            self._failed(RunCancelled())
            raise
        except CallbackPending:
            raise  # that it ended was said with the calls
        except MeerkatError as error:
            await self._fail(error)
            raise
        except Exception as error:
            fault = AgentError(f"the run broke: {type(error).__name__}: {error}; report this")
            await self._fail(fault)
            raise fault from error
        self._emit(RunCompleted(session_id=session_id, result=result.text, usage=result.usage))
        return result

    async def _finished(self, result: RunResult) -> RunResult:
        """The result that its hooks let through; its text is that of the last answer (4.3)."""
        text = await self._guard.finish(result.text)
        if text == result.text:
            return result
        said = self._transcript.view() if result.text else ()  # else it is not this run's
        for place in range(len(said) - 1, -1, -1):
            message = said[place]
            if isinstance(message, AssistantMessage) and text_of_message(message):
                self._transcript.rewrite(place, place + 1, (with_text(message, text),))
                break
        return msgspec.structs.replace(result, text=text)

    async def _fail(self, error: MeerkatError) -> None:
        """Tells its hooks, and then everybody, also when the hooks are interrupted."""
        try:
            await self._guard.failed(str(error))
        finally:
            self._failed(error)

    def _failed(self, error: MeerkatError) -> None:
        self._emit(RunFailed(session_id=self._spec.session_id, error=str(error), code=error.code))

    def _budget(self) -> Budget:
        return Budget(
            self._spec.budget,
            self._spec.session_budget,
            tokens_before=self.usage.total,
            calls_before=self._transcript.tool_call_count,
            warn=self._emit,
        )

    async def _turns_in_time(self, budget: Budget) -> RunResult:
        if budget.seconds is None:
            return await self._turns(budget)
        limit = asyncio.timeout(budget.seconds)
        try:
            async with limit:
                return await self._turns(budget)
        except TimeoutError:
            if not limit.expired():
                raise
            raise budget.time_is_up() from None

    async def _turns(self, budget: Budget) -> RunResult:
        around = Surroundings(self._context, self._transcript, self._tools, self._emit)
        text, turns, calls = "", 0, 0
        while turns < self._spec.max_turns:
            self._guard.turn = turns
            asked = await self._guard.request(self._asked())
            await around.refresh()  # it takes notes, so nothing may deny the call any more
            room = self._room(budget, around, asked.max_tokens)
            if room is None:
                break
            asked = msgspec.structs.replace(asked, max_tokens=room)
            self._emit(TurnStarted(turn_number=turns))
            answer = await self._ask_model(around, budget, asked)
            answer = await self._guard.answer(answer, self.usage)
            answer, denied = await self._guard.calls(answer)
            turns += 1
            if said := text_of_message(answer):
                text = said
                self._emit(TextComplete(content=said))
            uses = tool_uses(answer)
            self._transcript.push(answer)
            if uses:
                calls += len(uses)
                await self._act(uses, around.tools, budget, denied)
                await self._guard.boundary()
            else:
                await self._guard.boundary()
                self._emit(TurnCompleted(stop_reason=answer.stop_reason, usage=self.usage))
            joined = turns < self._spec.max_turns and await self._context.steer()
            if not uses and not joined:
                break
        return RunResult(
            text=text,
            session_id=self._spec.session_id,
            usage=self.usage,
            turns=turns,
            tool_calls=calls,
        )

    # -- the model -----------------------------------------------------------------------------

    def _room(self, budget: Budget, around: Surroundings, wanted: int) -> int | None:
        """How many tokens the next answer may have; None when the run ends here."""
        request = self._size.of_request(around) if budget.counts_tokens else 0
        return budget.tokens_for(request, wanted)

    def _asked(self) -> HookLlmRequest:
        return HookLlmRequest(
            max_tokens=self._spec.max_tokens,
            temperature=None,
            provider_params=self._spec.provider_params,
            message_count=len(self._transcript),
        )

    async def _ask_model(
        self, around: Surroundings, budget: Budget, asked: HookLlmRequest
    ) -> AssistantMessage:
        retry = 0
        while True:
            try:
                return await self._call_model(around, budget, asked)
            except LlmFailed as error:
                retry += 1
                delay = self._spec.retry.delay_ms(retry, error)
                if delay is None:
                    raise
                self._emit(
                    Retrying(
                        attempt=retry,
                        max_attempts=self._spec.retry.max_retries,
                        error=str(error),
                        delay_ms=delay,
                    )
                )
                await asyncio.sleep(delay / 1000)

    async def _call_model(
        self, around: Surroundings, budget: Budget, asked: HookLlmRequest
    ) -> AssistantMessage:
        """One call, to the client and with the identity of the moment in which it begins."""
        client, spec = self._client, self._spec
        heard = Assembler(provider=client.provider)
        patience = Patience(
            provider=client.provider, call_ms=spec.call_timeout_ms, silence_ms=spec.silence_ms
        )
        try:
            async with patience, aclosing(client.stream(self._request(around, asked))) as events:
                async for event in events:
                    patience.heard()
                    _relay(event, self._emit)
                    heard.feed(event)
            answer = heard.finish()
        except asyncio.CancelledError:
            self._keep_partial(heard.text)
            raise
        finally:  # what a call consumed counts, however it ended
            if heard.usage is not None:
                self.usage = self.usage + heard.usage
            if budget.counts_tokens:
                budget.spend(self._size.consumed(heard.usage, around, heard.text))
        return AssistantMessage(blocks=answer.blocks, stop_reason=answer.stop_reason)

    def _request(self, around: Surroundings, asked: HookLlmRequest) -> LlmRequest:
        spec, said = self._spec, self._transcript.view()
        return LlmRequest(
            model=spec.model,
            messages=said if around.notice is None else (*said, around.notice),
            tools=around.tools.definitions,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            provider_params=asked.provider_params,
            speaker=spec.speaker,
            system_context=around.notes,
            blobs=around.blobs,
        )

    def _keep_partial(self, text: str) -> None:
        """What was said before an interrupt stays said: the next turn sees where it stopped."""
        if text.strip():
            block = AssistantText(data=TextData(text=text))
            self._transcript.push(AssistantMessage(blocks=(block,), stop_reason="cancelled"))

    # -- tools ---------------------------------------------------------------------------------

    async def _act(
        self,
        uses: Sequence[ToolUseData],
        tools: ToolSet,
        budget: Budget,
        denied: Mapping[str, ToolOutcome],
    ) -> None:
        """Runs the calls of the answer that was pushed last, and pushes their results.

        No tool starts before the answer is kept. Whatever ends this, each call has its result,
        except those that somebody else runs: with them the run ends.
        """
        outcomes: dict[str, ToolOutcome] = {}
        for use in uses:
            self._emit(ToolCallRequested(id=use.id, name=use.name, args=use.args))
        try:
            await self._context.checkpoint()
            outcomes |= denied
            wanted = [use for use in uses if use.id not in denied]
            allowed = budget.calls_for(len(wanted))
            outcomes |= dict.fromkeys([use.id for use in wanted[allowed:]], BUDGET_EXHAUSTED)
            left = await run_tools(
                wanted[:allowed],
                tools,
                outcomes,
                emit=self._emit,
                clock=self._clock,
                after=self._guard.result,
            )
        except BaseException:
            self._transcript.push(ToolResults(results=self._results(uses, outcomes)))
            raise
        if left:
            self._leave(uses, outcomes, left)
        self._transcript.push(ToolResults(results=self._results(uses, outcomes)))
        await self._context.checkpoint()

    def _leave(
        self, uses: Sequence[ToolUseData], outcomes: Mapping[str, ToolOutcome], left: Set[str]
    ) -> NoReturn:
        """Ends the run at calls that somebody else runs. Raises ``CallbackPending``."""
        calls = tuple([use for use in uses if use.id in left])
        done = self._results([use for use in uses if use.id not in left], outcomes)
        self._context.leave(calls, done)
        self._emit(RunCallbackPending(session_id=self._spec.session_id, calls=calls))
        raise callback_pending(calls[0])

    def _results(
        self, uses: Sequence[ToolUseData], outcomes: Mapping[str, ToolOutcome]
    ) -> tuple[ToolResult, ...]:
        results: list[ToolResult] = []
        for use in uses:
            result = result_of(use, outcomes.get(use.id, NOT_STARTED))
            self._emit(ToolResultReceived(id=use.id, name=use.name, is_error=result.is_error))
            results.append(result)
        return tuple(results)


def _relay(event: LlmEvent, emit: Emit) -> None:
    """Tells watchers what the model says while it says it."""
    if isinstance(event, LlmTextDelta):
        emit(TextDelta(delta=event.delta))
    elif isinstance(event, LlmReasoningDelta):
        emit(ReasoningDelta(delta=event.delta))
    elif isinstance(event, LlmReasoningComplete):
        emit(ReasoningComplete(content=event.text))
