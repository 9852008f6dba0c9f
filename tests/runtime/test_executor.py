"""What the model reads of an input, and how a batch becomes one run (BAT-5, BAT-7)."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec import UNSET

from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock, text_of
from meerkat_mob.core.inputs import (
    ContinuationInput,
    Convention,
    ExternalEventInput,
    ExternalSource,
    FlowSource,
    FlowStepInput,
    Input,
    InputHeader,
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
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import RenderClass, RenderMetadata, UserMessage
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.runtime.executor import message_of, messages_of, turn_request_of
from meerkat_mob.testing.builders import a_peer_message, a_prompt

IMAGE: Final = ImageBlock(media_type="image/png", source="blob", blob_id="sha256:00")
HEADING: Final = TextBlock(text="[COMMS MESSAGE from team/dev/ann]")
REQUEST: Final = RequestConvention(request_id="r", intent="review")
PROGRESS: Final = ResponseProgressConvention(request_id="r", phase="partial_result")
TERMINAL: Final = ResponseTerminalConvention(request_id="r", status="failed")
URGENT: Final = RenderMetadata(render_class="ops_progress", salience="urgent")


def a_header(source: Source) -> InputHeader:
    return InputHeader(id="i", timestamp=0, source=source)


def from_peer(
    body: str,
    *blocks: ContentBlock,
    convention: Convention | None = None,
    source: Source | None = None,
) -> PeerInput:
    return PeerInput(
        header=a_header(source or PeerSource(peer_id="team/dev/ann")),
        convention=convention or MessageConvention(),
        body=body,
        blocks=blocks or UNSET,
    )


def an_event(payload: Json, *blocks: ContentBlock, name: str = "web") -> ExternalEventInput:
    return ExternalEventInput(
        header=a_header(ExternalSource(source_name=name)),
        event_type="push",
        payload=payload,
        blocks=blocks or UNSET,
    )


def content_of(item: Input) -> Content | None:
    message = message_of(item)
    return None if message is None else message.content


# -- one input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (from_peer("hi"), "hi"),
        (from_peer("hi", IMAGE), (HEADING, IMAGE)),
        (from_peer("hi", TextBlock(text="hi"), IMAGE), (HEADING, TextBlock(text="hi"), IMAGE)),
        (from_peer("hi", IMAGE, source=SystemSource()), (TextBlock(text="hi"), IMAGE)),
        (from_peer("see", IMAGE, convention=REQUEST), (TextBlock(text="see"), IMAGE)),
        (from_peer("see", IMAGE, convention=TERMINAL), (TextBlock(text="see"), IMAGE)),
        (from_peer("", IMAGE, convention=TERMINAL), (IMAGE,)),
        (from_peer("a", TextBlock(text="a"), convention=PROGRESS), (TextBlock(text="a"),)),
    ],
)
def test_what_a_peer_sends_says_once_who_it_is_from_and_what(
    item: PeerInput, wanted: Content
) -> None:
    assert content_of(item) == wanted


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (an_event("disk full"), "[EVENT via web] disk full"),
        (an_event("disk full", name=""), "[EVENT via push] disk full"),
        (an_event({"body": "disk full"}), "[EVENT via web] disk full"),
        (an_event({"body": "full", "host": 1}), '[EVENT via web] {"body":"full","host":1}'),
        (an_event({"body": 1}), '[EVENT via web] {"body":1}'),
        (an_event([1, None]), "[EVENT via web] [1,null]"),
        (an_event(None), "[EVENT via web]"),
        (an_event("  "), "[EVENT via web]   "),
        (an_event("seen", IMAGE), (IMAGE,)),
    ],
)
def test_an_event_says_where_it_is_from_and_all_it_brings(
    item: ExternalEventInput, wanted: Content
) -> None:
    """One with blocks gets no header."""
    assert content_of(item) == wanted


def test_an_event_of_the_runtime_is_named_by_its_type() -> None:
    item = ExternalEventInput(header=a_header(SystemSource()), event_type="timer", payload="tick")
    assert content_of(item) == "[EVENT via timer] tick"


def a_step(instructions: Content, *notes: str, meta: RenderMetadata | None = None) -> FlowStepInput:
    return FlowStepInput(
        header=a_header(FlowSource(flow_id="f", step_index=1)),
        step_id="s",
        instructions=instructions,
        additional_instructions=notes,
        render_metadata=meta or UNSET,
    )


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (a_step("Do it"), "Do it"),
        (a_step((IMAGE,)), (IMAGE,)),
        (a_step("Do it", "be brief"), "[SYSTEM NOTICE: be brief]\n\nDo it"),
        (a_prompt((TextBlock(text="alone"),), "i"), (TextBlock(text="alone"),)),
    ],
)
def test_a_prompt_and_a_step_are_read_as_they_came(item: Input, wanted: Content) -> None:
    assert content_of(item) == wanted


def test_what_has_nothing_to_say_is_no_message() -> None:
    silent: list[Input] = [
        ContinuationInput(header=a_header(SystemSource()), reason="timer"),
        OperationInput(header=a_header(SystemSource()), operation_id="o", event={"type": "done"}),
    ]
    assert messages_of(silent) == ()


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (from_peer("hi"), "peer_message"),
        (from_peer("hi", convention=REQUEST), "peer_request"),
        (from_peer("hi", convention=PROGRESS), "peer_response"),
        (from_peer("hi", convention=TERMINAL), "peer_response"),
        (a_step("Do it"), "flow_step"),
        (an_event("new"), "external_event"),
    ],
)
def test_a_message_says_what_it_is(item: Input, wanted: RenderClass) -> None:
    message = message_of(item)
    assert message is not None
    assert message.render_metadata == RenderMetadata(render_class=wanted)


def test_what_a_sender_says_of_it_comes_first() -> None:
    step = message_of(a_step("Do it", meta=URGENT))
    assert step == UserMessage(content="Do it", render_metadata=URGENT)


# -- a batch -----------------------------------------------------------------------------------

GO_ON: Final = ContinuationInput(header=a_header(SystemSource()), reason="timer")


def test_each_input_of_a_batch_keeps_its_own_message_instructions_and_class() -> None:
    """A departure from BAT-6: what precedes the last one is its preface."""
    prompt = PromptInput(
        header=a_header(OperatorSource()), content="Go", additional_instructions=("b", "c")
    )
    request = turn_request_of([a_step("Do it", "a"), GO_ON, a_peer_message("hi", "m"), prompt])
    assert [text_of(m.content) for m in request.preface] == ["[SYSTEM NOTICE: a]\n\nDo it", "hi"]
    assert request.prompt == "[SYSTEM NOTICE: b]\n\n[SYSTEM NOTICE: c]\n\nGo"
    assert [m.render_metadata for m in request.preface] == [
        RenderMetadata(render_class="flow_step"),
        RenderMetadata(render_class="peer_message"),
    ]
    assert (request.render_metadata, request.additional_instructions) == (UNSET, ())


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ([GO_ON], "resume_pending"),
        ([GO_ON, GO_ON], "resume_pending"),
        ([GO_ON, from_peer("hi")], "content_turn"),
        ([a_prompt("Go", "p"), GO_ON], "content_turn"),
        ([a_prompt("Go", "p")], "content_turn"),
    ],
)
def test_only_continuations_go_on_from_what_is_pending(items: list[Input], kind: str) -> None:
    """BAT-7."""
    assert turn_request_of(items).execution_kind == kind


def test_a_continuation_asks_nothing_new() -> None:
    assert turn_request_of([GO_ON]) == StartTurnRequest(execution_kind="resume_pending")
