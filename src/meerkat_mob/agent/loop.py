"""One run of an agent: prompt, model, tools, again, until the model has nothing more to call.

A run is one ``run`` or ``run_pending``; a turn is one model call with its tools (spec sessions
4.3, 4.4). Whatever ends a run, the transcript stays valid: each call it holds has a result, and
exactly one of run_completed and run_failed was said (INV-3, INV-7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.content import Content, has_media, text_of
from meerkat_mob.core.events import (
    AgentEvent,
    ReasoningComplete,
    ReasoningDelta,
    Retrying,
    RunCompleted,
    RunFailed,
    RunResult,
    RunStarted,
    TextComplete,
    TextDelta,
    ToolCallRequested,
    ToolExecutionCompleted,
    ToolExecutionStarted,
    ToolResultReceived,
    TurnCompleted,
    TurnStarted,
)
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
from meerkat_mob.core.tools import ToolCall, ToolOutcome, tool_error
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    InvalidParams,
    LlmFailed,
    MeerkatError,
    NoPendingBoundary,
    RunCancelled,
)
from meerkat_mob.llm.assembly import Assembled, Assembler
from meerkat_mob.llm.client import (
    LlmClient,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmUsage,
)

Emit = Callable[[AgentEvent], None]
_INTERRUPTED: Final = tool_error(
    "cancelled", "the run was interrupted before this tool was done; it may have had effects"
)


@dataclass
class _Heard:
    """What one model call has said and consumed so far."""

    text: list[str] = field(default_factory=list[str])
    usage: Usage | None = None


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same over an agent's runs. ``speaker`` is its comms name, if it has one."""

    session_id: str
    model: str
    max_tokens: int = 4096
    max_turns: int = 100
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
        usage: Usage | None = None,
    ) -> None:
        self._spec, self._client, self._tools = spec, client, tools
        self._transcript, self._emit, self._clock = transcript, emit, clock
        self.usage = usage or Usage()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._spec.model

    @property
    def provider(self) -> str:
        """The provider of its client."""
        return self._client.provider

    async def run(
        self,
        prompt: Content,
        *,
        preface: Sequence[UserMessage] = (),
        render_metadata: RenderMetadata | UnsetType = UNSET,
    ) -> RunResult:
        """A run that starts from a prompt.

        Raises ``LlmFailed`` when the model fails for good, and ``CancelledError`` when cancelled,
        in both cases with the transcript in order; ``InvalidParams``, before anything happened,
        for text that is not Unicode.
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
        """A run that continues from what the transcript waits for; pushes no message.

        Raises ``NoPendingBoundary``, without any event, when it waits for nothing.
        """
        if not self._transcript.has_pending_boundary:
            raise NoPendingBoundary
        return await self._run(UNSET)

    async def _run(self, prompt: Content | UnsetType) -> RunResult:
        session_id = self._spec.session_id
        self._emit(RunStarted(session_id=session_id, prompt=prompt))
        try:
            result = await self._turns()
        except asyncio.CancelledError:
            self._failed(RunCancelled())
            raise
        except MeerkatError as error:
            self._failed(error)
            raise
        except Exception as error:
            fault = AgentError(f"the run broke: {type(error).__name__}: {error}; report this")
            self._failed(fault)
            raise fault from error
        self._emit(RunCompleted(session_id=session_id, result=result.text, usage=result.usage))
        return result

    def _failed(self, error: MeerkatError) -> None:
        self._emit(RunFailed(session_id=self._spec.session_id, error=str(error), code=error.code))

    async def _turns(self) -> RunResult:
        text, turns, calls = "", 0, 0
        while turns < self._spec.max_turns:
            self._emit(TurnStarted(turn_number=turns))
            answer = await self._ask_model()
            turns += 1
            said = text_of_message(answer)
            text = said or text
            uses = tool_uses(answer)
            if not uses:
                self._transcript.push(answer)
                self._emit(TurnCompleted(stop_reason=answer.stop_reason, usage=self.usage))
                break
            calls += len(uses)
            await self._run_tools(answer, uses)
        return RunResult(
            text=text,
            session_id=self._spec.session_id,
            usage=self.usage,
            turns=turns,
            tool_calls=calls,
        )

    # -- the model -----------------------------------------------------------------------------

    async def _ask_model(self) -> AssistantMessage:
        retry = 0
        while True:
            try:
                return await self._call_model()
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

    async def _call_model(self) -> AssistantMessage:
        heard = _Heard()
        try:
            assembled = await self._stream(heard)
        except asyncio.CancelledError:
            self._keep_partial("".join(heard.text))
            raise
        finally:  # what a call consumed counts, however it ended
            if heard.usage is not None:
                self.usage = self.usage + heard.usage
        answer = AssistantMessage(blocks=assembled.blocks, stop_reason=assembled.stop_reason)
        if text := text_of_message(answer):
            self._emit(TextComplete(content=text))
        return answer

    async def _stream(self, heard: _Heard) -> Assembled:
        request = LlmRequest(
            model=self._spec.model,
            messages=self._transcript.view(),
            tools=self._tools.definitions,
            max_tokens=self._spec.max_tokens,
            provider_params=self._spec.provider_params,
            speaker=self._spec.speaker,
        )
        assembler = Assembler(provider=self._client.provider)
        async with aclosing(self._client.stream(request)) as events:
            async for event in events:
                self._relay(event, heard)
                assembler.feed(event)
        return assembler.finish()

    def _relay(self, event: LlmEvent, heard: _Heard) -> None:
        match event:
            case LlmTextDelta(delta=delta):
                heard.text.append(delta)
                self._emit(TextDelta(delta=delta))
            case LlmReasoningDelta(delta=delta):
                self._emit(ReasoningDelta(delta=delta))
            case LlmReasoningComplete(text=text):
                self._emit(ReasoningComplete(content=text))
            case LlmUsage(usage=usage):
                heard.usage = usage
            case _:
                pass

    def _keep_partial(self, text: str) -> None:
        """What was said before an interrupt stays said: the next turn sees where it stopped."""
        if text.strip():
            block = AssistantText(data=TextData(text=text))
            self._transcript.push(AssistantMessage(blocks=(block,), stop_reason="cancelled"))

    # -- tools ---------------------------------------------------------------------------------

    async def _run_tools(self, answer: AssistantMessage, uses: Sequence[ToolUseData]) -> None:
        """Runs all calls at once and pushes the answer with their results, in call order.

        A cancelled run keeps the results of the tools that were done; the others get an error.
        """
        self._transcript.push(answer)
        done: dict[int, ToolOutcome] = {}
        for use in uses:
            self._emit(ToolCallRequested(id=use.id, name=use.name, args=use.args))
        try:
            async with asyncio.TaskGroup() as group:
                for index, use in enumerate(uses):
                    group.create_task(self._run_tool(index, use, done))
        finally:
            self._push_results(uses, done)

    async def _run_tool(self, index: int, use: ToolUseData, done: dict[int, ToolOutcome]) -> None:
        began = self._clock()
        self._emit(ToolExecutionStarted(id=use.id, name=use.name))
        outcome = _INTERRUPTED
        try:
            outcome = await self._tools.dispatch(ToolCall(id=use.id, name=use.name, args=use.args))
        finally:
            done[index] = outcome
            self._emit(
                ToolExecutionCompleted(
                    id=use.id,
                    name=use.name,
                    result=text_of(outcome.content),
                    is_error=outcome.is_error,
                    duration_ms=self._clock() - began,
                    has_images=has_media(outcome.content),
                )
            )

    def _push_results(self, uses: Sequence[ToolUseData], done: Mapping[int, ToolOutcome]) -> None:
        results: list[ToolResult] = []
        for index, use in enumerate(uses):
            outcome = done.get(index, _INTERRUPTED)
            self._emit(ToolResultReceived(id=use.id, name=use.name, is_error=outcome.is_error))
            results.append(
                ToolResult(tool_use_id=use.id, content=outcome.content, is_error=outcome.is_error)
            )
        self._transcript.push(ToolResults(results=tuple(results)))
