"""What Gemini streams, turned into our events. No I/O in here.

Each piece is a whole response with some more parts; calls are never cut. Nothing says that nothing
follows: the reason to finish comes with the last piece, and the bytes end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import GeminiMeta, StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.assembly import incomplete
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)
from meerkat_mob.llm.failures import Server, reported, unreadable

FILTERED: Final = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "ESCALATION",
        "MODEL_ARMOR",
    }
)
BROKEN: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""The model said what nobody can carry out; asked again, it mostly does better."""
UNSIGNED: Final = "MISSING_THOUGHT_SIGNATURE"
"""The conversation is not as the model wants it, and asked again it is the same."""
CUT: Final = frozenset({"MAX_TOKENS", "CONTINUATION"})
"""The answer is longer than it may be."""


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw()


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    parts: tuple[_Part, ...] | None = None


class _Candidate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None


class _Consumed(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class _Feedback(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    block_reason: str | None = None


class _Response(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    candidates: tuple[_Candidate, ...] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Consumed | None = None
    error: Json = None


_decoder: Final[msgspec.json.Decoder[_Response | tuple[_Response, ...]]] = msgspec.json.Decoder(
    _Response | tuple[_Response, ...]
)


class ContentDecoder:
    """Takes the data of each event, gives ours. ``salt`` goes into the ids we have to mint.

    Feed it until the bytes end; then ``finish`` gives the rest and the end. An array of all pieces
    in the place of a stream is taken, too.
    """

    def __init__(self, server: Server, *, salt: str) -> None:
        self._server, self._salt = server, salt
        self._thought: list[str] = []
        self._signature: str | None = None
        self._calls = 0
        self._finish: str | None = None
        self._why = ""

    @property
    def ended(self) -> bool:
        """Whether the server said that nothing follows: this one never does."""
        return False

    @property
    def answered(self) -> bool:
        """Whether an answer has come to its end."""
        return self._finish is not None

    def feed(self, data: str) -> Iterator[LlmEvent]:
        """The events of one piece. Raises ``LlmFailed`` for what is none, or reports an error."""
        try:
            found = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            raise unreadable(self._server, data) from None
        for response in found if isinstance(found, tuple) else (found,):
            yield from self._response(response)

    def _response(self, response: _Response) -> Iterator[LlmEvent]:
        if response.error is not None:
            raise reported(self._server, response.error)
        for candidate in response.candidates or ():
            if candidate.index:
                continue
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._part(part)
            self._finish = candidate.finish_reason or self._finish
            self._why = candidate.finish_message or self._why
        if response.prompt_feedback is not None and response.prompt_feedback.block_reason:
            self._finish = "SAFETY"
        if response.usage_metadata is not None:
            yield from _usage(response.usage_metadata)

    def _part(self, part: _Part) -> Iterator[LlmEvent]:
        if part.thought:
            self._signature = part.thought_signature or self._signature
            if part.text:
                self._thought.append(part.text)
                yield LlmReasoningDelta(delta=part.text)
            return
        meta = _meta(part.thought_signature)
        if part.function_call is not None:
            yield from self._end_thought()
            yield from self._call(part.function_call, meta)
        elif part.text or meta is not UNSET:
            yield from self._end_thought()
            yield LlmTextDelta(delta=part.text or "", meta=meta)

    def _call(self, call: _Call, meta: GeminiMeta | UnsetType) -> Iterator[LlmEvent]:
        name = call.id or f"call_{self._salt}_{self._calls}"
        self._calls += 1
        args = bytes(call.args).decode()
        yield LlmToolCallDelta(id=name, name=call.name, args_delta=args)
        yield LlmToolCallComplete(id=name, name=call.name, args=args, meta=meta)

    def _end_thought(self) -> Iterator[LlmEvent]:
        """This dialect never says that a thought is over; what follows it does."""
        if self._thought or self._signature:
            text, meta = "".join(self._thought), _meta(self._signature)
            self._thought, self._signature = [], None
            yield LlmReasoningComplete(text=text, meta=meta)

    def finish(self) -> Iterator[LlmEvent]:
        """What was still open, and the one end. Raises ``LlmFailed`` when the stream had none."""
        if self._finish is None:
            raise incomplete(self._server.provider)
        if self._finish in BROKEN or self._finish == UNSIGNED:
            raise LlmFailed(
                provider=self._server.provider,
                reason="provider_error",
                detail=f"{self._server.url} gave up: {self._finish} {self._why}".rstrip(),
                hint="ask again; if it goes on, give the model fewer or simpler tools",
                retryable=self._finish in BROKEN,
            )
        yield from self._end_thought()
        yield LlmDone(stop_reason=self._stop_reason(self._finish))

    def _stop_reason(self, finish: str) -> StopReason:
        if finish in CUT:
            return "max_tokens"
        if finish in FILTERED:
            return "content_filter"
        return "tool_use" if self._calls else "end_turn"


def _meta(signature: str | None) -> GeminiMeta | UnsetType:
    return GeminiMeta(thought_signature=signature) if signature else UNSET


def _usage(told: _Consumed) -> Iterator[LlmEvent]:
    """Thoughts are paid for as output, and told apart. What was not told is unknown, not zero."""
    if told.prompt_token_count is None:
        return
    output = (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)
    usage = Usage(
        input_tokens=max(told.prompt_token_count + (told.tool_use_prompt_token_count or 0), 0),
        output_tokens=max(output, 0),
        cache_read_tokens=told.cached_content_token_count,
    )
    yield LlmUsage(usage=usage)
