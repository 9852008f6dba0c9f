"""What an agent's run says about itself while it goes on (spec sessions 4.11).

Events are for watching and are not stored; facts live in the transcript and the receipts. The
union is closed: a new event breaks every ``match`` over it, which is the point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.hooks import DenyReason, HookPatch, HookPatchEnvelope, HookPoint
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import StopReason, ToolUseData
from meerkat_mob.core.usage import Usage


class RunResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The end of a run. ``usage`` is cumulative for the session; ``turns`` are model calls."""

    text: str
    session_id: str
    usage: Usage = Usage()
    turns: int = 0
    tool_calls: int = 0
    structured_output: Json | UnsetType = UNSET
    schema_warnings: tuple[str, ...] | UnsetType = UNSET
    skill_diagnostics: Json | UnsetType = UNSET


class RunStarted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="run_started"
):
    """A run began; ``prompt`` is absent when it continues what was pending."""

    session_id: str
    prompt: Content | UnsetType = UNSET


class RunCompleted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="run_completed"
):
    """A run ended with a result."""

    session_id: str
    result: str
    usage: Usage


class RunFailed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="run_failed"
):
    """A run ended without one; ``code`` is the error's stable code."""

    session_id: str
    error: str
    code: str


class RunCallbackPending(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="run_callback_pending",
):
    """A run ended at calls that somebody else runs: they have no results yet."""

    session_id: str
    calls: tuple[ToolUseData, ...]


RunOver: TypeAlias = RunCompleted | RunFailed | RunCallbackPending
"""How a run ends: each that started says exactly one of these (INV-7)."""


class TurnStarted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="turn_started"
):
    """A model call begins; numbers start at 0 in each run."""

    turn_number: int


class TextDelta(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="text_delta"
):
    """Some more text."""

    delta: str


class TextComplete(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="text_complete"
):
    """All the text of one turn."""

    content: str


class ReasoningDelta(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="reasoning_delta"
):
    """Some more reasoning."""

    delta: str


class ReasoningComplete(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="reasoning_complete"
):
    """One whole piece of reasoning."""

    content: str


class BackgroundJobCompleted(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="background_job_completed",
):
    """A background job has ended, and the model is about to be told of it."""

    job_id: str
    display_name: str
    status: str
    detail: str


class ToolCallRequested(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="tool_call_requested"
):
    """The model asks for a tool."""

    id: str
    name: str
    args: msgspec.Raw


class ToolExecutionStarted(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="tool_execution_started",
):
    """The tool begins to run."""

    id: str
    name: str


class ToolExecutionCompleted(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="tool_execution_completed",
):
    """The tool is done, well or not."""

    id: str
    name: str
    result: str
    is_error: bool
    duration_ms: int
    has_images: bool = False


class ToolExecutionTimedOut(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="tool_execution_timed_out",
):
    """The tool was cut off for taking longer than it may; its result says so, too."""

    id: str
    name: str
    timeout_ms: int


class ToolResultReceived(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="tool_result_received",
):
    """Its result will be shown to the model."""

    id: str
    name: str
    is_error: bool


class TurnCompleted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="turn_completed"
):
    """The last model call of a run is over; turns with tools do not send it."""

    stop_reason: StopReason
    usage: Usage


class Retrying(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="retrying"
):
    """The model call failed and is made again after ``delay_ms``; drop its partial text."""

    attempt: int
    max_attempts: int
    error: str
    delay_ms: int


class ModelFallback(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="model_fallback"
):
    """A model failed for good, so another one is asked in this run; drop the partial text."""

    from_model: str
    to_model: str
    error: str


class StreamTruncated(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="stream_truncated"
):
    """The watcher missed something here; ``reason`` says what."""

    reason: str


class SkillsResolved(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="skills_resolved"
):
    """The skills that a run was referred to are before its model, in so many bytes."""

    skills: tuple[str, ...]
    injection_bytes: int


class SkillResolutionFailed(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="skill_resolution_failed",
):
    """A run was referred to a skill that is not there; it does not begin."""

    reference: str
    error: str


class DeferredCatalogDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which tools the model must ask for now, and which no longer; sources yet to come."""

    added_hidden_names: tuple[str, ...] = ()
    removed_hidden_names: tuple[str, ...] = ()
    pending_sources: tuple[str, ...] = ()


class ToolConfigChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What changed. ``target`` is a tool, a server, or the set as a whole for a ``domain``."""

    operation: Literal["add", "remove", "reload"]
    target: str
    status: str
    persisted: bool
    applied_at_turn: int | UnsetType = UNSET
    domain: Literal["tool_scope", "deferred_catalog"] | UnsetType = UNSET
    deferred_catalog_delta: DeferredCatalogDelta | UnsetType = UNSET


class ToolConfigChanged(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="tool_config_changed"
):
    """The tools of the agent are not what they were in its last turn."""

    payload: ToolConfigChange


class CompactionStarted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="compaction_started"
):
    """The older part of the history is being summed up; tokens are those of the next request."""

    input_tokens: int
    estimated_history_tokens: int
    message_count: int


class CompactionCompleted(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="compaction_completed",
):
    """It gave way to its summary."""

    summary_tokens: int
    messages_before: int
    messages_after: int


class CompactionFailed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="compaction_failed"
):
    """It stays as it is, and the run goes on."""

    error: str


BudgetType: TypeAlias = Literal["tokens", "time", "tool_calls"]


class BudgetWarning(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="budget_warning"
):
    """A budget is used to four fifths, or ends the run. Times in ms."""

    budget_type: BudgetType
    used: int
    limit: int
    percent: float


class HookStarted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="hook_started"
):
    """A hook is asked."""

    hook_id: str
    point: HookPoint


class HookCompleted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="hook_completed"
):
    """It has answered."""

    hook_id: str
    point: HookPoint
    duration_ms: int


class HookFailed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="hook_failed"
):
    """It has not; what follows is its failure policy."""

    hook_id: str
    point: HookPoint
    error: str


class HookDenied(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="hook_denied"
):
    """It said no; hooks behind it are not asked."""

    hook_id: str
    point: HookPoint
    reason_code: DenyReason
    message: str
    payload: Json | UnsetType = UNSET


class HookRewriteApplied(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="hook_rewrite_applied",
):
    """It changed what passes by."""

    hook_id: str
    point: HookPoint
    patch: HookPatch


class HookPatchPublished(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="hook_patch_published",
):
    """A background hook would have changed what has passed by; nothing was changed (HK-4)."""

    hook_id: str
    point: HookPoint
    envelope: HookPatchEnvelope


AgentEvent: TypeAlias = (
    RunStarted
    | RunCompleted
    | RunFailed
    | RunCallbackPending
    | TurnStarted
    | TextDelta
    | TextComplete
    | ReasoningDelta
    | ReasoningComplete
    | ToolCallRequested
    | ToolExecutionStarted
    | ToolExecutionCompleted
    | ToolExecutionTimedOut
    | ToolResultReceived
    | TurnCompleted
    | Retrying
    | ModelFallback
    | BackgroundJobCompleted
    | BudgetWarning
    | HookStarted
    | HookCompleted
    | HookFailed
    | HookDenied
    | HookRewriteApplied
    | HookPatchPublished
    | ToolConfigChanged
    | CompactionStarted
    | CompactionCompleted
    | CompactionFailed
    | SkillsResolved
    | SkillResolutionFailed
    | StreamTruncated
)

Emit: TypeAlias = Callable[[AgentEvent], None]
"""Takes what a run says of itself. It neither waits nor fails."""


class EventEnvelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with its place: ``seq`` grows by one per session, over all its runs (EVN-1)."""

    event_id: str
    source_id: str
    seq: int
    mob_id: str | UnsetType = UNSET
    timestamp_ms: int
    payload: AgentEvent
