"""The model of one agent: whom it asks, as what, with how much patience, and what that consumed.

The rule: what a call consumed counts, however the call ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.agent.budget import Budget
from meerkat_mob.agent.estimate import BYTES, ContextSize
from meerkat_mob.agent.patience import Patience
from meerkat_mob.agent.spec import AgentSpec
from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.core.events import Emit, ReasoningComplete, ReasoningDelta, TextDelta
from meerkat_mob.core.hooks import HookLlmRequest
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Message,
    TextData,
)
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidParams, LlmFailed, ScriptError
from meerkat_mob.llm.assembly import Assembled, Assembler
from meerkat_mob.llm.client import (
    LlmClient,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
)
from meerkat_mob.llm.written import Written

SEARCHES: Final = frozenset({"web_search", "web_search_options", "google_search"})
"""Provider params that have the provider search for its model."""


class Model:
    """Asks the model, tells watchers what it says while it says it, and counts what that took."""

    def __init__(
        self,
        spec: AgentSpec,
        client: LlmClient,
        *,
        fallbacks: Sequence[tuple[str, LlmClient]] = (),
        transcript: Transcript,
        emit: Emit,
        usage: Usage,
    ) -> None:
        self._spec, self._first = spec, client
        self._fallbacks, self._fallen = tuple(fallbacks), 0
        self._transcript, self._emit = transcript, emit
        self._size = ContextSize(transcript)
        self._written = Written()
        self.usage = usage
        """What all calls of the session consumed."""
        self.unsaid: tuple[str, ...] = ()
        """What of its form the provider of the last answer did not hold it to."""

    @property
    def name(self) -> str:
        """The name of the model that is asked now."""
        return self._fallbacks[self._fallen - 1][0] if self._fallen else self._spec.model

    @property
    def window(self) -> int | None:
        """How many tokens it can look at, if that is known."""
        return self._spec.window_of(self.name)

    @property
    def _client(self) -> LlmClient:
        return self._fallbacks[self._fallen - 1][1] if self._fallen else self._first

    @property
    def provider(self) -> str:
        """The provider of its own client, whoever stands in for it."""
        return self._first.provider

    def begin(self) -> None:
        """A run begins: it is its own model that is asked."""
        self._fallen = 0

    def fall_back(self, failure: LlmFailed) -> bool:
        """The next model is asked from now on. False when there is none, or it would not help."""
        if self._fallen == len(self._fallbacks) or isinstance(failure, ScriptError):
            return False
        self._fallen += 1
        return True

    def swap(self, client: LlmClient, identity: SessionLlmIdentity) -> None:
        """Later calls go to this client, as this model; one that goes on stays where it is.

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
        self._first, self._fallen = client, 0

    def wanted(self, *, in_form: bool = False) -> HookLlmRequest:
        """What the next call would ask for, before hooks and budgets have their say.

        One for an answer ``in_form`` is not creative, and searches nowhere.
        """
        params = self._spec.provider_params
        if in_form:
            params = {name: value for name, value in params.items() if name not in SEARCHES}
        return HookLlmRequest(
            max_tokens=self._spec.max_tokens,
            temperature=0.0 if in_form else None,
            provider_params=params,
            message_count=len(self._transcript),
        )

    def request_size(self, around: Surroundings) -> int:
        """How many tokens the next request is thought to have."""
        return self._size.of_request(around)

    def history_size(self) -> int:
        """How many of them are the transcript's, by its length."""
        return self._transcript.size // BYTES

    def room(self, budget: Budget, around: Surroundings, wanted: int) -> int | None:
        """How many tokens the next answer may have; None when no call may be made."""
        request = self.request_size(around) if budget.counts_tokens else 0
        return budget.tokens_for(request, wanted)

    async def ask(
        self, around: Surroundings, budget: Budget, asked: HookLlmRequest
    ) -> AssistantMessage:
        """One call, to the client and with the identity of the moment in which it begins.

        Raises ``LlmFailed``. What was said before an interrupt stays said.
        """
        heard = Assembler(provider=self._client.provider)
        try:
            answer = await self._hear(
                self._request(around, asked), heard, self._spec.call_timeout_ms, self._emit
            )
        except asyncio.CancelledError:
            self._keep_partial(heard.text)
            raise
        finally:
            budget.spend(self._size.consumed(heard.usage, around, heard.text))
        self.unsaid = answer.unsaid
        return AssistantMessage(blocks=answer.blocks, stop_reason=answer.stop_reason)

    async def summarise(
        self, messages: Sequence[Message], budget: Budget, *, max_tokens: int, timeout_ms: int
    ) -> tuple[str, int]:
        """What the model makes of these messages, and how many tokens that has.

        Nobody hears it speak. Raises ``LlmFailed``.
        """
        spec, heard = self._spec, Assembler(provider=self._client.provider)
        request = LlmRequest(
            model=self.name,
            messages=messages,
            max_tokens=max_tokens,
            provider_params=self._params(spec.provider_params),
            speaker=spec.speaker,
        )
        try:
            await self._hear(request, heard, timeout_ms, None)
        finally:
            usage, said = heard.usage, len(heard.text) // BYTES
            budget.spend(self.history_size() + said if usage is None else usage.total)
        return heard.text, said if usage is None else usage.output_tokens

    async def _hear(
        self, request: LlmRequest, heard: Assembler, call_ms: int | None, emit: Emit | None
    ) -> Assembled:
        client = self._client
        patience = Patience(
            provider=client.provider, call_ms=call_ms, silence_ms=self._spec.silence_ms
        )
        try:
            async with patience, aclosing(client.stream(request)) as events:
                async for event in events:
                    patience.heard()
                    if emit is not None:
                        _relay(event, emit)
                    heard.feed(event)
            return heard.finish()
        finally:
            if heard.usage is not None:
                self.usage = self.usage + heard.usage

    def _request(self, around: Surroundings, asked: HookLlmRequest) -> LlmRequest:
        spec, said = self._spec, self._transcript.view()
        return LlmRequest(
            model=self.name,
            messages=(*said, *around.notices) if around.notices else said,
            tools=around.tools.definitions,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            provider_params=self._params(asked.provider_params),
            speaker=spec.speaker,
            system_context=around.notes,
            blobs=around.blobs,
            output=around.output,
            written=self._written,
        )

    def _params(self, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """They are in the words of one provider, and mean nothing to another."""
        return params if self._client.provider == self._first.provider else {}

    def _keep_partial(self, text: str) -> None:
        if text.strip():
            block = AssistantText(data=TextData(text=text))
            self._transcript.push(AssistantMessage(blocks=(block,), stop_reason="cancelled"))


def _relay(event: LlmEvent, emit: Emit) -> None:
    if isinstance(event, LlmTextDelta):
        emit(TextDelta(delta=event.delta))
    elif isinstance(event, LlmReasoningDelta):
        emit(ReasoningDelta(delta=event.delta))
    elif isinstance(event, LlmReasoningComplete):
        emit(ReasoningComplete(content=event.text))
