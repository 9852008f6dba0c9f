"""The session document: its rules, and every form in which it is read (spec sessions 1.1)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core import reserved, session, system_context
from meerkat_mob.core.deferred_turn import DeferredTurnState, PendingPrompt
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Message, SystemMessage, UserMessage, tool_uses
from meerkat_mob.core.session import (
    Session,
    decode_session,
    encode_session,
    export_session,
    meta_of,
    new_session,
)
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from tests import strategies

USER = UserMessage(content="hi")
USAGE = Usage(input_tokens=3, output_tokens=2, cache_read_tokens=1)

sessions = st.builds(
    Session,
    id=strategies.names,
    history=strategies.conversations.map(Transcript.of),
    created_at=strategies.instants,
    updated_at=strategies.instants,
    metadata=strategies.json_objects,
    usage=strategies.usages,
)


def fresh() -> Session:
    return new_session("s1", now=1_000)


def texts(document: Session) -> list[object]:
    return [getattr(message, "content", None) for message in document.messages]


# -- SES-1 -------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Session], Session]] = {
    "push": lambda s: session.push(s, USER, now=2_000),
    "push_batch": lambda s: session.push_batch(s, [USER, USER], now=2_000),
    "set_system_prompt": lambda s: session.set_system_prompt(s, "be", now=2_000),
    "record_usage": lambda s: session.record_usage(s, USAGE, now=2_000),
    "set_metadata": lambda s: session.set_metadata(s, "k", 1, now=2_000),
    "remove_metadata": lambda s: session.remove_metadata(s, "k", now=2_000),
    "with_metadata": lambda s: session.with_metadata(s, {"k": 2}, now=2_000),
    "touch": lambda s: session.touch(s, now=2_000),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_moves_updated_at_and_leaves_the_given_document_alone(change: str) -> None:
    before = session.push(fresh(), SystemMessage(content="s"), now=1_500)
    kept = encode_session(before)
    after = CHANGES[change](before)
    assert (after.created_at, after.updated_at) == (1_000, 2_000)
    assert encode_session(before) == kept


def test_an_empty_batch_changes_nothing() -> None:
    before = fresh()
    assert session.push_batch(before, [], now=2_000) is before


def test_two_documents_may_go_on_from_one() -> None:
    one = session.push(fresh(), USER, now=2)
    left = session.push(one, UserMessage(content="left"), now=3)
    right = session.push(one, UserMessage(content="right"), now=3)
    assert texts(one) == ["hi"]
    assert texts(left) == ["hi", "left"]
    assert texts(right) == ["hi", "right"]


def test_usage_adds_up_and_metadata_comes_and_goes() -> None:
    document = session.record_usage(fresh(), USAGE, now=2)
    document = session.record_usage(document, USAGE, now=3)
    assert document.usage == Usage(input_tokens=6, output_tokens=4, cache_read_tokens=2)
    document = session.set_metadata(document, "a", {"b": [1]}, now=4)
    document = session.set_metadata(document, "c", None, now=5)
    assert document.metadata == {"a": {"b": [1]}, "c": None}
    document = session.remove_metadata(document, "a", now=6)
    document = session.remove_metadata(document, "never there", now=7)
    assert document.metadata == {"c": None}
    assert document.updated_at == 7


def test_the_system_prompt_is_the_first_message() -> None:
    document = session.push(fresh(), USER, now=2)
    document = session.set_system_prompt(document, "one", now=3)
    document = session.set_system_prompt(document, "two", now=4)
    assert texts(document) == ["two", "hi"]


# -- SES-5, SES-7 ------------------------------------------------------------------------------


def test_a_fork_has_new_identity_and_times_and_the_same_past() -> None:
    document = session.record_usage(session.push(fresh(), USER, now=2), USAGE, now=3)
    document = session.set_metadata(document, "k", 1, now=4)
    fork = session.fork(document, "s2", now=9)
    assert (fork.id, fork.created_at, fork.updated_at) == ("s2", 9, 9)
    assert fork.messages[0] is document.messages[0]
    assert (fork.usage, fork.metadata) == (document.usage, document.metadata)
    changed = session.set_metadata(session.push(fork, USER, now=10), "k", 2, now=10)
    assert len(document.messages) == len(fork.messages) == 1
    assert (document.metadata, changed.metadata) == ({"k": 1}, {"k": 2})


def test_a_fork_at_a_count_keeps_the_first_messages_and_all_of_the_rest() -> None:
    document = session.push_batch(fresh(), [SystemMessage(content="s"), USER, USER], now=2)
    document = session.record_usage(document, USAGE, now=3)
    fork = session.fork_at(document, 2, "s2", now=9)
    assert texts(fork) == ["s", "hi"]
    assert fork.usage == USAGE
    assert len(session.fork_at(document, 99, "s3", now=9).messages) == 3


def test_the_listing_record_says_what_a_list_shows() -> None:
    document = session.record_usage(session.push(fresh(), USER, now=2), USAGE, now=3)
    document = session.set_metadata(document, "session_labels", {"a": "b"}, now=4)
    meta = meta_of(document)
    assert msgspec.to_builtins(meta) == {
        "id": "s1",
        "created_at": 1_000,
        "updated_at": 4,
        "message_count": 1,
        "total_tokens": 5,
        "metadata": {"session_labels": {"a": "b"}},
    }


# -- wire --------------------------------------------------------------------------------------


def test_our_form_has_upstreams_fields_and_times_in_ms() -> None:
    document = session.push(fresh(), USER, now=2_500)
    assert encode_session(document) == (
        b'{"version":1,"id":"s1","messages":[{"role":"user","content":"hi"}],'
        b'"created_at":1000,"updated_at":2500,"metadata":{},"usage":{"input_tokens":0,'
        b'"output_tokens":0,"cache_creation_tokens":null,"cache_read_tokens":null}}'
    )


def test_an_export_has_upstreams_times_everywhere() -> None:
    document = session.push(fresh(), USER, now=2_501)
    waiting = DeferredTurnState(pending_initial_prompt=PendingPrompt(prompt="p", accepted_at=1_007))
    context, _ = system_context.stage_append(
        system_context.SystemContextState(), "t", now=9, key="accepted_at"
    )
    metadata = reserved.DEFERRED_TURN.write({"accepted_at": 5}, waiting)
    metadata = reserved.SYSTEM_CONTEXT.write(metadata, context)
    document = session.with_metadata(document, metadata, now=2_501)
    exported = json.loads(export_session(document))
    assert exported["created_at"] == {"secs_since_epoch": 1, "nanos_since_epoch": 0}
    assert exported["updated_at"] == {"secs_since_epoch": 2, "nanos_since_epoch": 501_000_000}
    assert exported["metadata"]["session_deferred_turn_state"]["pending_initial_prompt"] == {
        "prompt": "p",
        "accepted_at": {"secs_since_epoch": 1, "nanos_since_epoch": 7_000_000},
    }
    assert exported["metadata"]["accepted_at"] == 5
    back = decode_session(export_session(document))
    assert reserved.DEFERRED_TURN.read(back.metadata) == waiting
    assert reserved.SYSTEM_CONTEXT.read(back.metadata) == context
    assert (back.created_at, back.updated_at) == (1_000, 2_501)


@given(sessions)
def test_any_session_survives_both_wire_forms(document: Session) -> None:
    assert decode_session(encode_session(document)) == document
    assert decode_session(encode_session(document).decode()) == document
    assert decode_session(export_session(document)) == document


@given(sessions)
def test_a_session_read_back_has_the_same_digest(document: Session) -> None:
    back = decode_session(json.dumps(json.loads(encode_session(document)), indent=1))
    assert back.history.digest() == document.history.digest()


SECS: Json = {"secs_since_epoch": 1_700_000_000, "nanos_since_epoch": 123_999_999}


@pytest.mark.parametrize("at", [1_700_000_000_123, SECS, "2023-11-14T22:13:20.123999Z"])
def test_times_are_read_in_every_form(at: Json) -> None:
    raw = json.dumps({"id": "s", "created_at": at, "updated_at": at})
    document = decode_session(raw)
    assert (document.created_at, document.updated_at) == (1_700_000_000_123,) * 2


def test_absent_and_null_fields_take_their_defaults_and_unknown_ones_are_ignored() -> None:
    least: dict[str, Any] = {"id": "s", "created_at": 1, "updated_at": 2, "new": {"x": 1}}
    nulls = dict.fromkeys(["version", "messages", "metadata", "usage"])
    for raw in (least, {**least, **nulls}):
        document = decode_session(json.dumps(raw))
        assert document == Session(
            version=1,
            id="s",
            history=Transcript(),
            created_at=1,
            updated_at=2,
            metadata={},
            usage=Usage(),
        )


def test_imported_messages_are_brought_to_the_form_in_which_we_store_them() -> None:
    messages = (
        '[{"role":"user","content":[{"type":"text","text":"hi"}],"render_metadata":null},'
        '{"role":"block_assistant","stop_reason":"tool_use","blocks":[{"block_type":"tool_use",'
        '"data":{"id":"a","name":"f","args":{ "b": 1.50, "a": 1 }}}]},'
        '{"role":"user","content":"[SYSTEM NOTICE] mind the gap",'
        '"render_metadata":{"class":"system_notice","salience":"normal"}}]'
    )
    raw = f'{{"id":"s","messages":{messages},"created_at":1,"updated_at":1}}'
    document = decode_session(raw)
    assert [bytes(use.args) for use in tool_uses(document.messages[1])] == [b'{"a":1,"b":1.5}']
    assert list(document.history.encoded()) == [
        b'{"role":"user","content":"hi"}',
        (
            b'{"role":"block_assistant","blocks":[{"block_type":"tool_use","data":'
            b'{"id":"a","name":"f","args":{"a":1,"b":1.5}}}],"stop_reason":"tool_use"}'
        ),
        b'{"role":"system_notice","kind":"generic","body":"mind the gap"}',
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"created_at":1,"updated_at":1}',
        b'{"id":"s","updated_at":1}',
        b'{"id":"s","created_at":null,"updated_at":1}',
        b'{"id":"s","created_at":"yesterday","updated_at":1}',
        b'{"id":"s","created_at":1,"updated_at":1,"messages":[{"role":"robot"}]}',
        b'{"id":"s","created_at":1,"updated_at":1,"metadata":[]}',
        b'{"id":"s","created_at":1,"updated_at":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_session_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_session(raw)


def test_metadata_that_does_not_parse_does_not_block_loading() -> None:
    raw = {
        "id": "s",
        "created_at": 1,
        "updated_at": 1,
        "metadata": {"session_metadata": 5, "session_labels": ["x"], "mine": {"k": None}},
    }
    document = decode_session(json.dumps(raw))
    assert document.metadata == raw["metadata"]
    assert reserved.SESSION_METADATA.read(document.metadata) is None
    assert reserved.LABELS.read(document.metadata) is None


def test_a_push_onto_a_document_costs_no_copy_of_its_history() -> None:
    messages: list[Message] = [USER] * 10
    document = session.push_batch(fresh(), messages, now=2)
    after = session.push(document, USER, now=3)
    assert after.history._messages is document.history._messages
