"""What the agent asks of a model, and the one stream every provider is turned into.

A stream ends with exactly one ``Done`` (CLI-1). Everything a provider does differently stays in
its translation module; nothing above this room knows a dialect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Message, ProviderMeta, StopReason, SystemMessage
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.system_context import SEPARATOR
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.written import Written


class LlmRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One model call.

    ``messages`` is a read-only view of the transcript: a client must neither keep nor change it.
    ``speaker`` is the comms name ``mob/profile/member`` of who asks, empty outside a mob; scripted
    models choose their lines by it. ``provider_params`` go into the provider's body as they are.
    ``system_context`` holds the notes of this run, rendered, which the transcript never has
    (SES-23a). ``blobs`` are the images that the messages name, those that are there (BLB-4).
    ``output`` is the form that the answer is to have; a provider that can holds its model to it.
    ``written`` is what a client may keep of this conversation until the next request; it belongs to
    who asks, and one request at a time uses it.
    """

    model: str
    messages: Sequence[Message]
    tools: tuple[ToolDef, ...] = ()
    max_tokens: int = 4096
    temperature: float | None = None
    provider_params: Mapping[str, Json] = {}
    speaker: str = ""
    system_context: str = ""
    blobs: Mapping[str, Blob] = NO_BLOBS
    output: OutputSchema | None = None
    written: Written | None = None

    @property
    def system_prompt(self) -> str:
        """The System message with this run's notes behind it (SES-22); "" without either."""
        first = self.messages[0] if self.messages else None
        said = first.content if isinstance(first, SystemMessage) else ""
        return SEPARATOR.join(part for part in (said, self.system_context) if part)


class LlmTextDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some more text."""

    delta: str
    meta: ProviderMeta | UnsetType = UNSET


class LlmReasoningDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some more reasoning."""

    delta: str


class LlmReasoningComplete(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole piece of reasoning, with what its provider wants replayed."""

    text: str
    meta: ProviderMeta | UnsetType = UNSET


class LlmToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part of a call. The first one of an id names the tool."""

    id: str
    args_delta: str
    name: str | UnsetType = UNSET


class LlmToolCallComplete(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole call; ``args`` are the model's own bytes, not yet normalised."""

    id: str
    name: str
    args: str
    meta: ProviderMeta | UnsetType = UNSET


class LlmUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The call's usage so far; a later one replaces it."""

    usage: Usage


class LlmDone(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the stream: a stop reason, or the error that ended it.

    ``unsaid`` is what of the form of the answer its provider could not hold the model to, each as
    the word of the schema and its place.
    """

    stop_reason: StopReason | None = None
    error: LlmFailed | None = None
    unsaid: tuple[str, ...] = ()


LlmEvent: TypeAlias = (
    LlmTextDelta
    | LlmReasoningDelta
    | LlmReasoningComplete
    | LlmToolCallDelta
    | LlmToolCallComplete
    | LlmUsage
    | LlmDone
)


class LlmClient(Protocol):
    """A model behind one protocol.

    ``stream`` starts the call when it is first iterated, and stops it when it is closed or its
    task is cancelled. It reports failures as ``LlmDone(error=…)`` and raises nothing but
    ``CancelledError``. One client serves many sessions at a time.
    """

    @property
    def provider(self) -> str:
        """anthropic, openai, gemini, self_hosted, scripted, or other."""
        ...

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """The events of one call, in order, ending with one ``LlmDone``."""
        ...

    async def aclose(self) -> None:
        """Releases connections. Idempotent."""
        ...
