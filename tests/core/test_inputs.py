"""Inputs as they are kept: every kind both ways, older and foreign forms (spec sessions 5.2)."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec.structs import replace

from meerkat_mob.core.blobs import blob_id
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.input_wire import OLD_TAGS, decode_input, encode_input, kept_input
from meerkat_mob.core.inputs import (
    ContinuationInput,
    Convention,
    Durability,
    ExternalEventInput,
    ExternalSource,
    FlowSource,
    FlowStepInput,
    Input,
    InputHeader,
    InputKind,
    MessageConvention,
    OperationInput,
    OperatorSource,
    PeerInput,
    PeerSource,
    PromptInput,
    RequestConvention,
    ResponseProgressConvention,
    ResponseTerminalConvention,
    Source,
    SystemSource,
    Visibility,
    kind_of,
    mode_of,
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import HandlingMode, RenderMetadata
from meerkat_mob.errors import InvalidParams
from tests import strategies as any_of

HEADER = InputHeader(id="i", timestamp=7, source=OperatorSource())
HEADER_JSON = (
    '"header":{"id":"i","timestamp":7,"source":{"type":"operator"},"durability":"durable",'
    '"visibility":{"transcript_eligible":true,"operator_eligible":true}}'
)
IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")
IMAGE_JSON = '{"type":"image","media_type":"image/png","source":"inline","data":"aGk="}'
URGENT = RenderMetadata(render_class="flow_step", salience="urgent")

WIRE: list[tuple[InputKind, Input, str]] = [
    ("prompt", PromptInput(header=HEADER, content="Go"), '"prompt",{},"text":"Go"'),
    (
        "prompt",
        PromptInput(header=HEADER, content=(TextBlock(text="See"), IMAGE), handling_mode="steer"),
        (
            '"prompt",{},"text":"See\\n[image: image/png]","blocks":['
            '{{"type":"text","text":"See"}},{image}],"turn_metadata":{{"handling_mode":"steer"}}'
        ),
    ),
    (
        "prompt",
        PromptInput(header=HEADER, content="Go", additional_instructions=("a", "b")),
        '"prompt",{},"text":"Go","turn_metadata":{{"additional_instructions":["a","b"]}}',
    ),
    (
        "peer_message",
        PeerInput(header=HEADER, body="hi", blocks=(IMAGE,), handling_mode="queue"),
        (
            '"peer",{},"convention":{{"convention_type":"message"}},"body":"hi",'
            '"blocks":[{image}],"handling_mode":"queue"'
        ),
    ),
    (
        "peer_request",
        PeerInput(
            header=HEADER, convention=RequestConvention(request_id="r", intent="ask"), body="?"
        ),
        (
            '"peer",{},"convention":{{"convention_type":"request","request_id":"r","intent":"ask"}},'
            '"body":"?"'
        ),
    ),
    (
        "peer_response_progress",
        PeerInput(
            header=HEADER,
            convention=ResponseProgressConvention(request_id="r", phase="in_progress"),
            body="…",
        ),
        (
            '"peer",{},"convention":{{"convention_type":"response_progress","request_id":"r",'
            '"phase":"in_progress"}},"body":"…"'
        ),
    ),
    (
        "peer_response_terminal",
        PeerInput(
            header=HEADER,
            convention=ResponseTerminalConvention(request_id="r", status="failed"),
            body="no",
        ),
        (
            '"peer",{},"convention":{{"convention_type":"response_terminal","request_id":"r",'
            '"status":"failed"}},"body":"no"'
        ),
    ),
    (
        "flow_step",
        FlowStepInput(header=HEADER, step_id="s1", instructions="Do", render_metadata=URGENT),
        (
            '"flow_step",{},"step_id":"s1","instructions":"Do","turn_metadata":'
            '{{"render_metadata":{{"class":"flow_step","salience":"urgent"}}}}'
        ),
    ),
    (
        "flow_step",
        FlowStepInput(header=HEADER, step_id="s1", instructions=(IMAGE,)),
        '"flow_step",{},"step_id":"s1","instructions":"[image: image/png]","blocks":[{image}]',
    ),
    (
        "external_event",
        ExternalEventInput(header=HEADER, event_type="alert", payload={"a": None}),
        '"external_event",{},"event_type":"alert","payload":{{"a":null}},"handling_mode":"queue"',
    ),
    (
        "continuation",
        ContinuationInput(header=HEADER, reason="a job ended", handling_mode="steer"),
        '"continuation",{},"reason":"a job ended","handling_mode":"steer"',
    ),
    (
        "operation",
        OperationInput(header=HEADER, operation_id="o", event={"type": "ready"}),
        '"operation",{},"operation_id":"o","event":{{"type":"ready"}}',
    ),
]


@pytest.mark.parametrize(("kind", "item", "form"), WIRE)
def test_an_input_is_written_in_one_form_and_read_back(
    kind: InputKind, item: Input, form: str
) -> None:
    raw = ('{"input_type":' + form.format(HEADER_JSON, image=IMAGE_JSON) + "}").encode()
    assert kind_of(item) == kind
    assert encode_input(item) == raw
    assert decode_input(raw) == item


def test_every_kind_is_in_the_table_above() -> None:
    assert {kind for kind, _, _ in WIRE} == set(get_args(InputKind))


# -- any input ---------------------------------------------------------------------------------

sources: SearchStrategy[Source] = st.one_of(
    st.builds(OperatorSource),
    st.builds(PeerSource, peer_id=any_of.names, runtime_id=any_of.maybe(any_of.names)),
    st.builds(FlowSource, flow_id=any_of.names, step_index=any_of.counts),
    st.builds(SystemSource),
    st.builds(ExternalSource, source_name=any_of.names),
)
headers = st.builds(
    InputHeader,
    id=any_of.names,
    timestamp=any_of.instants,
    source=sources,
    durability=any_of.literal(Durability),
    visibility=st.builds(
        Visibility, transcript_eligible=st.booleans(), operator_eligible=st.booleans()
    ),
    idempotency_key=any_of.maybe(any_of.names),
    correlation_id=any_of.maybe(any_of.names),
)
conventions: SearchStrategy[Convention] = st.one_of(
    st.builds(MessageConvention),
    st.builds(
        RequestConvention,
        request_id=any_of.names,
        intent=any_of.names,
        params=any_of.maybe(any_of.json_values),
    ),
    st.builds(
        ResponseProgressConvention,
        request_id=any_of.names,
        phase=st.sampled_from(["accepted", "in_progress", "partial_result"]),
    ),
    st.builds(
        ResponseTerminalConvention,
        request_id=any_of.names,
        status=st.sampled_from(["completed", "failed", "cancelled"]),
    ),
)
modes: SearchStrategy[HandlingMode] = any_of.literal(HandlingMode)
blocks = any_of.tuples_of(st.one_of(any_of.text_blocks, any_of.images, any_of.videos))
metas = any_of.maybe(any_of.render_metadatas)
instructions = any_of.tuples_of(any_of.texts)
payloads = st.one_of(
    any_of.json_values, blocks.map(lambda some: {"blocks": list(msgspec.to_builtins(some)), "n": 1})
)
inputs: SearchStrategy[Input] = st.one_of(
    st.builds(
        PromptInput,
        header=headers,
        content=any_of.contents,
        handling_mode=any_of.maybe(modes),
        render_metadata=metas,
        additional_instructions=instructions,
    ),
    st.builds(
        PeerInput,
        header=headers,
        convention=conventions,
        body=any_of.texts,
        blocks=any_of.maybe(blocks),
        handling_mode=any_of.maybe(modes),
    ),
    st.builds(
        FlowStepInput,
        header=headers,
        step_id=any_of.names,
        instructions=any_of.contents,
        handling_mode=any_of.maybe(modes),
        render_metadata=metas,
        additional_instructions=instructions,
    ),
    st.builds(
        ExternalEventInput,
        header=headers,
        event_type=any_of.names,
        payload=payloads,
        blocks=any_of.maybe(blocks),
        handling_mode=modes,
        render_metadata=metas,
    ),
    st.builds(
        ContinuationInput,
        header=headers,
        reason=any_of.texts,
        handling_mode=modes,
        request_id=any_of.maybe(any_of.names),
    ),
    st.builds(OperationInput, header=headers, operation_id=any_of.names, event=any_of.json_values),
)


@given(inputs)
def test_any_input_survives_being_kept(item: Input) -> None:
    raw = encode_input(item)
    again = decode_input(raw)
    assert (again, encode_input(again)) == (item, raw)
    assert (kind_of(again), mode_of(again)) == (kind_of(item), mode_of(item))


@given(inputs)
def test_what_is_kept_of_an_input_holds_no_inline_image(item: Input) -> None:
    """DUR-1: its images are named, and are the ones that were in it.

    What else a payload holds has a shape that is not ours.
    """
    if isinstance(item, ExternalEventInput):
        item = replace(item, payload=None)
    kept, moved = kept_input(item)
    assert b'"source":"inline","data":"aGk="' not in encode_input(kept)
    assert all(name == blob_id(blob.media_type, blob.data) for name, blob in moved.items())
    assert kept_input(kept) == (kept, {})
    assert (kept is item) == (not moved)


# -- what others write -------------------------------------------------------------------------


def written(tag: str, **fields: Json) -> bytes:
    header = {"id": "i", "timestamp": 7, "source": {"type": "operator"}}
    return json.dumps({"input_type": tag, "header": header, **fields}).encode()


PROMPT = PromptInput(header=HEADER, content="Go")
A_TEXT = {"type": "text", "text": "t"}
OLDER: list[tuple[str, bytes, Input]] = [
    ("a header that says little", written("prompt", text="Go"), PROMPT),
    ("an unknown key", written("prompt", text="Go", colour="red"), PROMPT),
    ("null for absent", written("prompt", text="Go", blocks=None, turn_metadata=None), PROMPT),
    ("no blocks", written("prompt", text="Go", blocks=[]), PROMPT),
    (
        "metadata without effect",
        written("prompt", text="Go", turn_metadata={"keep_alive": True, "model": None}),
        PROMPT,
    ),
    (
        "a kind's earlier name",
        written("system_generated", reason="timer"),
        ContinuationInput(header=HEADER, reason="timer"),
    ),
    (
        "another kind's earlier name",
        written("projected", operation_id="o", event={"gone": None}),
        OperationInput(header=HEADER, operation_id="o", event={"gone": None}),
    ),
    (
        "a peer without a convention",
        written("peer", body="hi"),
        PeerInput(header=HEADER, convention=MessageConvention(), body="hi"),
    ),
    (
        "a null convention and mode",
        written("peer", body="hi", convention=None, handling_mode=None),
        PeerInput(header=HEADER, convention=MessageConvention(), body="hi"),
    ),
    (
        "nulls inside parameters stay",
        written(
            "peer",
            body="hi",
            blocks=None,
            convention={
                "convention_type": "request",
                "request_id": "r",
                "intent": "ask",
                "params": {"a": None},
            },
        ),
        PeerInput(
            header=HEADER,
            convention=RequestConvention(request_id="r", intent="ask", params={"a": None}),
            body="hi",
        ),
    ),
    (
        "nulls inside a payload stay",
        written("external_event", event_type="e", payload=[{"a": None}], blocks=None),
        ExternalEventInput(header=HEADER, event_type="e", payload=[{"a": None}]),
    ),
    (
        "blocks inside a payload",
        written("external_event", event_type="e", payload={"body": "b", "blocks": [A_TEXT]}),
        ExternalEventInput(
            header=HEADER, event_type="e", payload={"body": "b"}, blocks=(TextBlock(text="t"),)
        ),
    ),
    (
        "no payload at all",
        written("external_event", event_type="e"),
        ExternalEventInput(header=HEADER, event_type="e", payload=None),
    ),
]


@pytest.mark.parametrize(("raw", "wanted"), [pytest.param(r, w, id=n) for n, r, w in OLDER])
def test_an_older_form_is_read_as_what_it_is(raw: bytes, wanted: Input) -> None:
    assert decode_input(raw) == wanted


def test_each_earlier_name_of_a_kind_is_read() -> None:
    assert set(OLD_TAGS) <= {json.loads(raw)["input_type"] for _, raw, _ in OLDER}


@pytest.mark.parametrize(
    "instant",
    [7, {"secs_since_epoch": 0, "nanos_since_epoch": 7_500_000}, "1970-01-01T00:00:00.007Z"],
)
def test_every_form_of_an_instant_is_read(instant: Json) -> None:
    """And a supersession key, which never had an effect, is no longer one of anything (W7)."""
    operator = {"type": "operator"}
    header = {"id": "i", "timestamp": instant, "source": operator, "supersession_key": "k"}
    raw = json.dumps({"input_type": "prompt", "header": header, "text": "Go"}).encode()
    assert decode_input(raw) == PROMPT


@pytest.mark.parametrize(
    "payload", [{"blocks": "of flats"}, {"blocks": [{"type": "brick"}]}, ["blocks"], "blocks", None]
)
def test_other_blocks_than_content_stay_in_their_payload(payload: Json) -> None:
    event = ExternalEventInput(header=HEADER, event_type="e", payload=payload)
    assert (event.payload, event.blocks) == (payload, msgspec.UNSET)


def test_blocks_that_are_said_twice_stay_where_they_are() -> None:
    payload = {"blocks": [A_TEXT]}
    event = ExternalEventInput(header=HEADER, event_type="e", payload=payload, blocks=(IMAGE,))
    assert (event.payload, event.blocks) == (payload, (IMAGE,))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"input_type":"prompt"}',
        written("telepathy", text="Go"),
        written("prompt", text=1),
        written("peer", body="hi", handling_mode="shout"),
        b'{"input_type":"prompt","text":"Go","header":{"id":"i","timestamp":"noon"}}',
        b"[" * 500,
    ],
)
def test_what_is_no_input_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an input|nested deeper"):
        decode_input(raw)


def nested(levels: int) -> Json:
    value: Json = None
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("payload", ["\ud800", {"a": object()}, nested(200)])
def test_what_could_not_be_read_back_is_refused_before_it_is_kept(payload: Json) -> None:
    event = ExternalEventInput(header=HEADER, event_type="e", payload=payload)
    with pytest.raises(InvalidParams, match=r"input: this cannot be kept.*; send"):
        encode_input(event)
