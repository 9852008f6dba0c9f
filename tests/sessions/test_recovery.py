"""A stored session as the request that it goes on with: REC-1 to REC-5, row by row."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from meerkat_mob.core.build_state import SessionBuildState
from meerkat_mob.core.deferred_turn import DeferredTurnState, FirstTurnPhase
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import SystemMessage, UserMessage
from meerkat_mob.core.metadata import PeerMeta, SessionMetadata
from meerkat_mob.core.requests import SessionBuildOptions
from meerkat_mob.core.reserved import BUILD_STATE, DEFERRED_TURN, SESSION_METADATA
from meerkat_mob.core.session import Session, new_session, push_batch, with_metadata
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import InvalidParams, MissingSessionMetadata, SessionUnsupported
from meerkat_mob.sessions import RecoveryContext, RecoveryOverrides, build_recovered_session
from meerkat_mob.sessions.opening import first_state
from meerkat_mob.sessions.state import SessionState, document_of, state_of
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests import strategies

STORED = SessionMetadata(
    model="llama",
    max_tokens=77,
    provider="self_hosted",
    self_hosted_server_id="rack-1",
    provider_params={"seed": 7},
    keep_alive=True,
    comms_name="team/dev/ann",
    peer_meta=PeerMeta(description="knows things"),
    realm_id="stored",
)


def a_document(
    metadata: SessionMetadata | None = STORED,
    *,
    phase: FirstTurnPhase = "consumed",
    build: SessionBuildState | None = None,
    said: bool = True,
) -> Session:
    session = new_session("s", now=5)
    if said:
        session = push_batch(
            session, (SystemMessage(content="early"), UserMessage(content="hi")), now=6
        )
    entries: dict[str, Json] = DEFERRED_TURN.write({}, DeferredTurnState(first_turn_phase=phase))
    if metadata is not None:
        entries = SESSION_METADATA.write(entries, metadata)
    if build is not None:
        entries = BUILD_STATE.write(entries, build)
    return with_metadata(session, entries, now=6)


def going_on(
    document: Session,
    overrides: RecoveryOverrides | None = None,
    context: RecoveryContext | None = None,
) -> SessionState:
    """The state of the session that goes on."""
    request = build_recovered_session(
        document, overrides or RecoveryOverrides(), context or RecoveryContext()
    )
    return first_state(request, session_id=document.id, now=9)


# -- REC-1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [None, 5, {}, {"model": "m"}, {"model": 1, "max_tokens": 2}])
def test_a_session_that_does_not_say_who_answers_cannot_go_on(entry: Json) -> None:
    document = with_metadata(a_document(None), {"session_metadata": entry}, now=6)
    with pytest.raises(MissingSessionMetadata) as refusal:
        build_recovered_session(document)
    assert (refusal.value.code, refusal.value.session_id) == ("SESSION_METADATA_MISSING", "s")


# -- REC-2 -------------------------------------------------------------------------------------


def test_a_provider_needs_a_model() -> None:
    with pytest.raises(InvalidParams) as refusal:
        build_recovered_session(a_document(), RecoveryOverrides(provider="openai"))
    assert refusal.value.path == "provider"


@pytest.mark.parametrize(
    ("overrides", "provider", "server"),
    [
        (RecoveryOverrides(), "self_hosted", "rack-1"),
        (RecoveryOverrides(model="gpt-9"), "openai", UNSET),
        (RecoveryOverrides(model="claude-9"), "anthropic", UNSET),
        (RecoveryOverrides(model="another"), "other", UNSET),
        (RecoveryOverrides(model="llama"), "other", UNSET),
        (RecoveryOverrides(model="gpt-9", provider="gemini"), "gemini", UNSET),
    ],
)
def test_another_model_has_its_own_provider_and_no_server(
    overrides: RecoveryOverrides, provider: str, server: str
) -> None:
    metadata = going_on(a_document(), overrides).metadata
    assert (metadata.provider, metadata.self_hosted_server_id) == (provider, server)


# -- REC-3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["inactive", "consumed"])
@pytest.mark.parametrize(
    ("late", "name"),
    [
        (RecoveryOverrides(system_prompt="late"), "system_prompt"),
        (RecoveryOverrides(max_tokens=7), "max_tokens"),
    ],
)
def test_what_is_for_the_first_turn_is_refused_behind_it(
    late: RecoveryOverrides, name: str, phase: FirstTurnPhase
) -> None:
    with pytest.raises(SessionUnsupported, match=name) as refusal:
        build_recovered_session(a_document(phase=phase), late)
    assert refusal.value.session_id == "s"


def test_what_is_for_the_first_turn_is_taken_before_it() -> None:
    late = RecoveryOverrides(system_prompt="late", max_tokens=7)
    state = going_on(a_document(phase="pending"), late)
    assert state.transcript.system_prompt == "late"
    assert state.metadata.max_tokens == 7
    assert state.deferred.first_turn_phase == "pending"


# -- REC-4 -------------------------------------------------------------------------------------


def test_without_overrides_everything_is_as_it_was_stored() -> None:
    build = SessionBuildState(max_turns=3, app_context={"a": 1}, system_prompt="early")
    document = a_document(build=build)
    state = going_on(document)
    assert (state.metadata, state.build) == (STORED, build)
    assert state.transcript == document.history


def test_an_override_wins_over_what_was_stored() -> None:
    overrides = RecoveryOverrides(
        provider_params={"seed": 9},
        keep_alive=False,
        comms_name="team/dev/bob",
        peer_meta=PeerMeta(labels={"a": "1"}),
        max_turns=5,
        external_tools=(a_tool_that_echoes(),),
    )
    state = going_on(a_document(build=SessionBuildState(max_turns=3)), overrides)
    assert state.metadata == msgspec.structs.replace(
        STORED,
        provider_params={"seed": 9},
        keep_alive=False,
        comms_name="team/dev/bob",
        peer_meta=PeerMeta(labels={"a": "1"}),
    )
    assert state.build.max_turns == 5
    assert [tool.name for tool in state.build.recoverable_tool_defs] == ["echo"]


def test_the_surroundings_count_only_for_what_was_never_said() -> None:
    around = RecoveryContext(realm_id="here", instance_id="i", backend="file", config_generation=0)
    metadata = going_on(a_document(), context=around).metadata
    found = (metadata.realm_id, metadata.instance_id, metadata.backend, metadata.config_generation)
    assert found == ("stored", "i", "file", 0)


@pytest.mark.parametrize("params", [5, ["seed"], "seed"])
def test_parameters_that_are_no_object_are_as_if_absent(params: Json) -> None:
    stored = msgspec.structs.replace(STORED, provider_params=params)
    assert build_recovered_session(a_document(stored)).build.provider_params is UNSET


# -- REC-5 -------------------------------------------------------------------------------------


@given(strategies.session_metadatas)
def test_it_is_a_deferred_request_without_a_prompt(metadata: SessionMetadata) -> None:
    document = a_document(metadata)
    request = build_recovered_session(document)
    assert (request.prompt, request.initial_turn) == ("", "defer")
    assert (request.deferred_prompt_policy, request.system_prompt) == ("discard", None)
    assert request.build.session_id == document.id
    resumed = request.build.resume_session
    assert resumed is not UNSET
    assert resumed.history == document.history


def test_the_system_message_stays_after_the_first_turn() -> None:
    assert going_on(a_document()).transcript.system_prompt == "early"


def test_the_same_system_prompt_again_is_nothing_new() -> None:
    request = build_recovered_session(a_document())
    request = msgspec.structs.replace(request, system_prompt="early")
    assert first_state(request, session_id="s", now=9).transcript == a_document().history


# -- DEF-2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "stored", "phase"),
    [
        (False, None, "pending"),
        (True, None, "inactive"),
        (False, "consumed", "consumed"),
        (False, "pending", "pending"),
        (True, "pending", "pending"),
        (True, "consumed", "consumed"),
    ],
)
def test_the_window_is_armed_for_an_empty_template_only(
    said: bool, stored: FirstTurnPhase | None, phase: FirstTurnPhase
) -> None:
    document = a_document(said=said, phase=stored or "inactive")
    if stored is None:
        entries = {k: v for k, v in document.metadata.items() if k != DEFERRED_TURN.key}
        document = with_metadata(document, entries, now=6)
    assert going_on(document).deferred.first_turn_phase == phase


# -- documents and states ----------------------------------------------------------------------


states = st.builds(
    SessionState,
    session_id=st.just("s"),
    created_at=strategies.instants,
    updated_at=strategies.instants,
    metadata=strategies.session_metadatas,
    transcript=strategies.conversations.map(Transcript.of),
    usage=strategies.usages,
    build=strategies.build_states,
    labels=strategies.labels,
    deferred=strategies.deferred_turns,
    context=strategies.system_contexts,
    visibility=strategies.tool_visibilities,
    archived=st.booleans(),
)


@given(states)
def test_a_state_is_what_its_document_says(state: SessionState) -> None:
    assert state_of(document_of(state)) == state


@pytest.mark.parametrize(
    "entries",
    [
        {"session_labels": [1]},
        {"session_build_state": 5},
        {"session_system_context_state": {"pending": 5}},
        {"session_tool_visibility_state_v1": {"staged_filter": "some"}},
        {"session_archived": "perhaps"},
    ],
)
def test_what_does_not_parse_is_as_if_absent(entries: Mapping[str, Json]) -> None:
    document = a_document()
    odd = with_metadata(document, {**document.metadata, **entries}, now=6)
    assert state_of(odd) == state_of(document)


def test_options_of_a_request_are_all_asked_for() -> None:
    """A new option must be thought of here: it is stored, or live, or for new sessions only."""
    assert set(SessionBuildOptions.__struct_fields__) == {
        "session_id",
        "resume_session",
        "provider",
        "self_hosted_server_id",
        "comms_name",
        "peer_meta",
        "realm_id",
        "keep_alive",
        "provider_params",
        "external_tools",
        "toolboxes",
        "inherited_tool_filter",
        "hooks",
        "skills",
        "fallbacks",
        "max_turns",
        "budget_limits",
        "session_budget",
        "call_timeout_override",
        "compaction",
        "output_schema",
        "structured_output_retries",
        "mob_tool_authority_context",
    }
