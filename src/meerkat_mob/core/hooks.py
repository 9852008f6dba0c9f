"""Hooks: functions that look at a run, stop it, or change what passes by (spec sessions 4.10).

A hook is asked at one point of a run. What it may do is its capability: an observer looks, a
guardrail may also deny, a rewriter may also change. The run waits for it, unless its mode is
background: then nothing it says changes the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import StopReason
from meerkat_mob.core.usage import Usage

HookPoint: TypeAlias = Literal[
    "run_started",
    "run_completed",
    "run_failed",
    "pre_llm_request",
    "post_llm_response",
    "pre_tool_execution",
    "post_tool_execution",
    "turn_boundary",
]
HookMode: TypeAlias = Literal["foreground", "background"]
Capability: TypeAlias = Literal["observe", "guardrail", "rewrite"]
FailurePolicy: TypeAlias = Literal["fail_open", "fail_closed"]
DenyReason: TypeAlias = Literal[
    "policy_violation", "safety_violation", "schema_violation", "timeout", "runtime_error"
]
BEFORE: Final[frozenset[HookPoint]] = frozenset(
    {"run_started", "pre_llm_request", "pre_tool_execution", "turn_boundary"}
)
"""The points before something happens: in the background a hook can only look there (HK-4)."""

TIMEOUT_MS: Final = 5000
PAYLOAD_MAX_BYTES: Final = 131_072
"""What a command or a server may be told at a time, and answer (HK-7)."""

BACKGROUND_LIMIT: Final = 32
"""How many background hooks of one agent may be at work."""


# -- what a hook is told -----------------------------------------------------------------------


class HookLlmRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the model is about to be asked."""

    max_tokens: int
    temperature: float | None
    provider_params: Mapping[str, Json]
    message_count: int


class HookLlmResponse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the model answered; ``usage`` is the session's."""

    text: str
    tool_call_names: tuple[str, ...]
    stop_reason: StopReason
    usage: Usage


class HookToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that is about to be run."""

    id: str
    name: str
    args: Json


class HookToolResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a tool gave back."""

    tool_use_id: str
    name: str
    content: str
    is_error: bool
    has_images: bool


class HookCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a run stands, and what passes by there (HK-1)."""

    point: HookPoint
    session_id: str
    turn_number: int | UnsetType = UNSET
    prompt: Content | UnsetType = UNSET
    text: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    llm_request: HookLlmRequest | UnsetType = UNSET
    llm_response: HookLlmResponse | UnsetType = UNSET
    tool_call: HookToolCall | UnsetType = UNSET
    tool_result: HookToolResult | UnsetType = UNSET


# -- what it says ------------------------------------------------------------------------------


class Deny(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="decision", tag="deny"):
    """Not this: at a tool the call has an error result, elsewhere the run fails (HK-5)."""

    message: str
    reason_code: DenyReason = "policy_violation"
    payload: Json | UnsetType = UNSET


class LlmRequestPatch(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="patch_type", tag="llm_request"
):
    """Another request; what is not said stays."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    provider_params: Mapping[str, Json] | UnsetType = UNSET


class AssistantTextPatch(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="patch_type",
    tag="assistant_text",
):
    """Another text in the place of all that the model said."""

    text: str


class ToolArgsPatch(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="patch_type", tag="tool_args"
):
    """Other arguments; the transcript keeps those of the model."""

    args: Json


class ToolResultPatch(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="patch_type", tag="tool_result"
):
    """Another text of a result; its images stay."""

    content: str
    is_error: bool | UnsetType = UNSET


class RunResultPatch(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="patch_type", tag="run_result"
):
    """Another text of the run, and of the last answer in the transcript."""

    text: str


HookPatch: TypeAlias = (
    LlmRequestPatch | AssistantTextPatch | ToolArgsPatch | ToolResultPatch | RunResultPatch
)
PATCH_AT: Final[Mapping[HookPoint, type[msgspec.Struct]]] = {
    "pre_llm_request": LlmRequestPatch,
    "post_llm_response": AssistantTextPatch,
    "pre_tool_execution": ToolArgsPatch,
    "post_tool_execution": ToolResultPatch,
    "run_completed": RunResultPatch,
}
"""What can be changed where. Elsewhere nothing can."""

HookAnswer: TypeAlias = Deny | HookPatch | tuple[HookPatch, ...] | None
"""None lets it pass; several patches are taken in their order."""


class HookPatchEnvelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A patch that came too late to be applied; ``revision`` grows from 1 with each of an agent.

    ``published_at`` is in milliseconds since 1970, UTC.
    """

    revision: int
    patch: HookPatch
    published_at: int


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One hook: a coroutine function, asked at one point.

    Hooks of a point are asked one after the other, by ``priority`` and then in the order in which
    they were given (HK-2). One that fails, or takes longer than ``timeout_ms``, is passed over
    when it fails open and denies when it fails closed; observers fail open, others closed (HK-3).

    In the background it starts when no other hook of the point has denied, and nothing waits for
    it; it must fail open, and only look at a point in ``BEFORE`` (HK-4). It is skipped while
    ``background_limit`` background hooks of its agent are at work.
    """

    id: str
    point: HookPoint
    run: Callable[[HookCall], Awaitable[HookAnswer]]
    capability: Capability = "observe"
    mode: HookMode = "foreground"
    priority: int = 100
    failure_policy: FailurePolicy | UnsetType = UNSET
    timeout_ms: int = TIMEOUT_MS
    background_limit: int = BACKGROUND_LIMIT

    @property
    def fails_open(self) -> bool:
        """Whether its own failure lets things pass."""
        if self.failure_policy is UNSET:
            return self.capability == "observe"
        return self.failure_policy == "fail_open"


class HookOptions(TypedDict, total=False):
    """What can be said of a hook whatever it is; see ``Hook``."""

    capability: Capability
    mode: HookMode
    priority: int
    failure_policy: FailurePolicy | UnsetType
    timeout_ms: int
    background_limit: int
