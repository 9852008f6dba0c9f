"""Hypothesis strategies for the structs of ``core``: any legal message, content or metadata."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.build_state import (
    BudgetLimits,
    CallerProvenance,
    MobToolAuthorityContext,
    SessionBuildState,
)
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.deferred_turn import DeferredTurnState, PendingPrompt, PendingToolResults
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import (
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    GeminiMeta,
    LegacyToolCall,
    Message,
    NoticeKind,
    OpenAiMeta,
    ProviderMeta,
    Reasoning,
    RenderClass,
    RenderMetadata,
    Salience,
    StopReason,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from meerkat_mob.core.metadata import PeerMeta, SessionMetadata, SessionTooling, ToolCategory
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.provider_names import Provider
from meerkat_mob.core.reserved import CompactionCadence
from meerkat_mob.core.system_context import PendingAppend, SeenAppend, SystemContextState
from meerkat_mob.core.tool_visibility import (
    NameFilter,
    ToolFilter,
    ToolVisibilityState,
    ToolWitness,
)
from meerkat_mob.core.tools import ToolDef, ToolProvenance
from meerkat_mob.core.usage import Usage

T = TypeVar("T")


def maybe(strategy: SearchStrategy[T]) -> SearchStrategy[T | UnsetType]:
    """The value, or nothing said."""
    return st.one_of(st.just(UNSET), strategy)


def literal(alias: object) -> SearchStrategy[Any]:
    """Any of the values of a ``Literal`` alias."""
    return st.sampled_from(cast("tuple[str, ...]", cast("Any", alias).__args__))


def tuples_of(strategy: SearchStrategy[T], most: int = 3) -> SearchStrategy[tuple[T, ...]]:
    """A few of them, as a tuple."""
    return st.lists(strategy, max_size=most).map(tuple)


names = st.text("abcdefghij_-", min_size=1, max_size=8)
texts = st.text(max_size=24)
instants = st.integers(min_value=0, max_value=2**45)
counts = st.integers(min_value=0, max_value=2**40)

exact_integers = st.integers(min_value=-(2**63), max_value=2**64 - 1)
finite_floats = st.floats(allow_nan=False, allow_infinity=False)
scalars: SearchStrategy[Json] = st.one_of(
    st.none(), st.booleans(), exact_integers, finite_floats, texts
)
json_values: SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
json_objects: SearchStrategy[JsonObject] = st.dictionaries(texts, json_values, max_size=3)
arguments = json_objects.map(encode_arguments)

# -- content and messages ----------------------------------------------------------------------

media_types = st.sampled_from(["image/png", "image/jpeg", "image/webp"])
text_blocks = st.builds(TextBlock, text=texts)
inline_images = st.builds(
    ImageBlock, media_type=media_types, source=st.just("inline"), data=st.just("aGk=")
)
blob_images = st.builds(ImageBlock, media_type=media_types, source=st.just("blob"), blob_id=names)
images = st.one_of(inline_images, blob_images)
videos = st.builds(
    VideoBlock,
    media_type=st.sampled_from(["video/mp4", "video/webm", "video/quicktime"]),
    duration_ms=st.integers(min_value=1, max_value=10**6),
    source=st.just("inline"),
    data=st.just("AAAA"),
)
contents: SearchStrategy[Content] = st.one_of(
    texts, tuples_of(st.one_of(text_blocks, images, videos))
)
still_contents: SearchStrategy[Content] = st.one_of(
    texts, tuples_of(st.one_of(text_blocks, images))
)

provider_metas: SearchStrategy[ProviderMeta] = st.one_of(
    st.builds(AnthropicMeta, signature=texts),
    st.builds(AnthropicRedactedMeta, data=texts),
    st.builds(
        AnthropicCompactionMeta,
        content=texts,
        encrypted_content=maybe(texts),
        signature=maybe(texts),
    ),
    st.builds(AnthropicServerMeta, block=texts),
    st.builds(GeminiMeta, thought_signature=texts),
    st.builds(OpenAiMeta, id=names, encrypted_content=maybe(texts)),
)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_creation_tokens=st.none() | counts,
    cache_read_tokens=st.none() | counts,
)
render_metadatas = st.builds(
    RenderMetadata, render_class=literal(RenderClass), salience=maybe(literal(Salience))
)
text_data = st.builds(TextData, text=texts, meta=maybe(provider_metas))
tool_uses = st.builds(
    ToolUse,
    data=st.builds(ToolUseData, id=names, name=names, args=arguments, meta=maybe(provider_metas)),
)
assistant_blocks = st.one_of(
    st.builds(AssistantText, data=text_data), st.builds(Reasoning, data=text_data), tool_uses
)
tool_results = st.builds(
    ToolResult, tool_use_id=names, content=still_contents, is_error=st.booleans()
)
stop_reasons = literal(StopReason)

system_messages = st.builds(SystemMessage, content=texts)
system_notices = st.builds(SystemNotice, kind=literal(NoticeKind), body=texts)
user_messages = st.builds(UserMessage, content=contents, render_metadata=maybe(render_metadatas))
flat_messages = st.builds(
    AssistantFlat,
    content=texts,
    tool_calls=tuples_of(st.builds(LegacyToolCall, id=names, name=names, args=arguments)),
    stop_reason=stop_reasons,
    usage=usages,
)
assistant_messages = st.builds(
    AssistantMessage, blocks=tuples_of(assistant_blocks), stop_reason=stop_reasons
)
tool_results_messages = st.builds(ToolResults, results=tuples_of(tool_results))
messages: SearchStrategy[Message] = st.one_of(
    system_messages,
    system_notices,
    user_messages,
    flat_messages,
    assistant_messages,
    tool_results_messages,
)
conversations = st.lists(messages, max_size=6)

# -- metadata ----------------------------------------------------------------------------------

labels = st.dictionaries(names, texts, max_size=3)
peer_metas = st.builds(PeerMeta, description=maybe(texts), labels=labels)
toolings = st.builds(
    SessionTooling,
    builtins=literal(ToolCategory),
    shell=literal(ToolCategory),
    comms=literal(ToolCategory),
    mob=literal(ToolCategory),
    memory=literal(ToolCategory),
    active_skills=maybe(tuples_of(names)),
)
session_metadatas = st.builds(
    SessionMetadata,
    model=names,
    max_tokens=counts,
    structured_output_retries=counts,
    provider=literal(Provider),
    self_hosted_server_id=maybe(names),
    provider_params=maybe(json_objects),
    tooling=toolings,
    keep_alive=st.booleans(),
    comms_name=st.none() | names,
    peer_meta=maybe(peer_metas),
    realm_id=maybe(names),
    instance_id=maybe(names),
    backend=maybe(names),
    config_generation=maybe(counts),
)
provenances = st.builds(ToolProvenance, kind=names, source_id=names)
tool_defs = st.builds(
    ToolDef,
    name=names,
    description=texts,
    input_schema=json_objects,
    provenance=maybe(provenances),
)
authorities = st.builds(
    MobToolAuthorityContext,
    principal_token=names,
    can_create_mobs=st.booleans(),
    managed_mob_scope=tuples_of(names),
    caller_provenance=maybe(
        st.builds(
            CallerProvenance,
            caller_session_id=maybe(names),
            caller_mob_id=maybe(names),
            caller_member_id=maybe(names),
        )
    ),
    audit_invocation_id=maybe(names),
)
output_schemas = st.builds(
    OutputSchema,
    schema=json_objects,
    name=maybe(names),
    strict=st.booleans(),
    compat=st.sampled_from(["lossy", "strict"]),
)
budgets = st.builds(
    BudgetLimits,
    max_tokens=maybe(counts),
    max_duration=maybe(counts),
    max_tool_calls=maybe(counts),
)
build_states = st.builds(
    SessionBuildState,
    system_prompt=maybe(texts),
    output_schema=maybe(output_schemas),
    hooks_override=maybe(json_objects),
    budget_limits=maybe(budgets),
    session_budget=maybe(budgets),
    recoverable_tool_defs=tuples_of(tool_defs),
    hook_ids=tuples_of(names),
    silent_comms_intents=tuples_of(names),
    max_inline_peer_notifications=maybe(st.integers(min_value=-1, max_value=100)),
    app_context=maybe(json_objects),
    additional_instructions=maybe(tuples_of(texts)),
    shell_env=maybe(labels),
    mob_tool_authority_context=maybe(authorities),
    call_timeout_override=maybe(st.one_of(counts, st.just("disabled"))),
)
pending_prompts = st.builds(PendingPrompt, prompt=contents, accepted_at=instants)
pending_results = st.builds(
    PendingToolResults,
    results=st.lists(tool_results, min_size=1, max_size=3).map(tuple),
    accepted_at=instants,
)
deferred_turns = st.builds(
    DeferredTurnState,
    first_turn_phase=st.sampled_from(["inactive", "pending", "consumed"]),
    pending_initial_prompt=maybe(pending_prompts),
    pending_tool_results=tuples_of(pending_results),
)
system_contexts = st.builds(
    SystemContextState,
    pending=tuples_of(
        st.builds(
            PendingAppend,
            text=texts,
            source=maybe(names),
            idempotency_key=maybe(names),
            accepted_at=instants,
        )
    ),
    seen=st.dictionaries(
        names,
        st.builds(
            SeenAppend,
            text=texts,
            source=maybe(names),
            state=st.sampled_from(["pending", "applied"]),
        ),
        max_size=3,
    ),
)
everything: SearchStrategy[ToolFilter] = st.just("all")
tool_filters: SearchStrategy[ToolFilter] = st.one_of(
    everything,
    st.builds(NameFilter, allow=tuples_of(names)),
    st.builds(NameFilter, deny=tuples_of(names)),
)
witnesses = st.dictionaries(
    names,
    st.builds(ToolWitness, stable_owner_key=maybe(names), last_seen_provenance=maybe(provenances)),
    max_size=2,
)
tool_visibilities = st.builds(
    ToolVisibilityState,
    inherited_base_filter=tool_filters,
    active_filter=tool_filters,
    staged_filter=tool_filters,
    active_requested_deferred_names=tuples_of(names),
    staged_requested_deferred_names=tuples_of(names),
    active_revision=counts,
    staged_revision=counts,
    requested_witnesses=witnesses,
    filter_witnesses=witnesses,
)
cadences = st.builds(
    CompactionCadence,
    session_boundary_index=counts,
    last_compaction_boundary_index=maybe(counts),
)
