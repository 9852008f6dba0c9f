"""From two states to records, and from records to a state: nothing between them is lost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.messages import AssistantMessage, Message, UserMessage
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.system_context import (
    SystemContextState,
    mark_pending_applied,
    stage_append,
)
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import StoreCorrupt, SystemContextConflict
from meerkat_mob.sessions.facts import CHANGED, REWRITTEN, SAID, RunEnded, changes, opening
from meerkat_mob.sessions.fold import STREAM, Fold, decode_head, encode_head, head_of
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store import NewRecord, Record
from tests import strategies

states = st.builds(
    SessionState,
    session_id=st.just("s"),
    created_at=st.just(5),
    updated_at=st.just(7),
    metadata=strategies.session_metadatas,
    transcript=strategies.conversations.map(Transcript.of),
    usage=strategies.usages,
    build=strategies.build_states,
    labels=strategies.labels,
    deferred=strategies.deferred_turns,
    context=strategies.system_contexts,
    visibility=strategies.tool_visibilities,
    extra=st.dictionaries(st.just("theirs"), strategies.json_values),
    answered_by=strategies.names,
    events_until=strategies.counts,
    archived=st.booleans(),
)


def a_state(*said: Message) -> SessionState:
    return SessionState(
        session_id="s",
        created_at=5,
        updated_at=7,
        metadata=SessionMetadata(model="m", max_tokens=7, provider="other"),
        transcript=Transcript.of(said),
    )


def kept(*batches: tuple[NewRecord, ...]) -> list[Record]:
    """The batches as one stream."""
    records = [record for batch in batches for record in batch]
    return [
        Record(stream=f"{STREAM}s", seq=seq, kind=r.kind, v=r.v, body=r.body, at=7)
        for seq, r in enumerate(records, start=1)
    ]


def folded(*batches: tuple[NewRecord, ...]) -> SessionState:
    fold = Fold("s")
    fold.add(kept(*batches))
    return fold.state()


@given(states)
def test_a_session_opens_as_what_it_is(state: SessionState) -> None:
    assert folded(opening(state)) == state


@given(states, states)
def test_what_leads_from_one_state_to_the_next_leads_there(
    before: SessionState, after: SessionState
) -> None:
    after = msgspec.structs.replace(after, context=before.context)
    assert folded(opening(before), changes(before, after)) == after


@given(states)
def test_nothing_new_is_no_record(state: SessionState) -> None:
    again = folded(opening(state))
    assert changes(state, state) == ()
    assert changes(state, again) == ()


@given(states, strategies.usages)
def test_a_run_s_end_says_the_usage(state: SessionState, usage: Usage) -> None:
    after = msgspec.structs.replace(state, usage=usage)
    (record,) = changes(state, after, (RunEnded(outcome="completed", usage=usage),))
    assert folded(opening(state), (record,)) == after


notes = st.lists(
    st.one_of(
        st.none(), st.tuples(st.sampled_from("abc"), st.sampled_from([None, "k1", "k2", "k3"]))
    ),
    max_size=6,
)


@given(notes, notes)
def test_notes_are_staged_and_applied_as_they_were(
    first: list[tuple[str, str | None] | None], then: list[tuple[str, str | None] | None]
) -> None:
    """None is a run that takes what waits: in one commit it comes before what is staged."""
    before = msgspec.structs.replace(a_state(), context=_noted(SystemContextState(), first))
    context = before.context
    if None in then:
        context = mark_pending_applied(context)
    after = msgspec.structs.replace(
        before, context=_noted(context, [note for note in then if note is not None])
    )
    assert folded(opening(before), changes(before, after)) == after


def _noted(
    context: SystemContextState, steps: list[tuple[str, str | None] | None]
) -> SystemContextState:
    for now, step in enumerate(steps):
        if step is None:
            context = mark_pending_applied(context)
            continue
        text, key = step
        try:
            context, _ = stage_append(
                context, text, now=now, key=msgspec.UNSET if key is None else key
            )
        except SystemContextConflict:
            continue
    return context


# -- how little is written ---------------------------------------------------------------------

HI, YES, NO = (
    UserMessage(content="hi"),
    AssistantMessage(blocks=(), stop_reason="end_turn"),
    UserMessage(content="no"),
)


@pytest.mark.parametrize(
    ("before", "after", "kinds", "written"),
    [
        ((), (HI, YES), [SAID], 2),
        ((HI,), (HI, YES, NO), [SAID], 2),
        ((HI, YES), (HI, YES), [], 0),
        ((HI, YES), (NO, YES), [REWRITTEN], 1),
        ((HI, YES), (NO, HI, YES), [REWRITTEN], 1),
        ((HI, YES, NO), (HI, NO), [REWRITTEN], 0),
        ((HI, HI, HI), (HI, HI), [REWRITTEN], 0),
    ],
)
def test_only_what_is_new_is_written(
    before: tuple[Message, ...], after: tuple[Message, ...], kinds: list[str], written: int
) -> None:
    records = changes(a_state(*before), a_state(*after))
    assert [record.kind for record in records] == kinds
    assert sum(record.body.count(b'"role"') for record in records) == written
    assert folded(opening(a_state(*before)), records).transcript == Transcript.of(after)


def test_a_push_is_told_without_a_look_at_what_was_before() -> None:
    before = a_state(HI, YES)
    transcript = before.transcript.fork()
    transcript.push(NO)
    assert transcript.continues(before.transcript)
    after = msgspec.structs.replace(before, transcript=transcript)
    assert [record.kind for record in changes(before, after)] == [SAID]


# -- heads -------------------------------------------------------------------------------------


@given(states)
def test_a_head_is_read_back_as_what_it_was(state: SessionState) -> None:
    head = head_of(state)
    assert decode_head(encode_head(head)) == head
    assert head.message_count == len(state.transcript)


# -- what a fold refuses -----------------------------------------------------------------------


def test_a_stream_has_to_open_a_session() -> None:
    state = a_state(HI)
    for batch in ((), opening(state)[1:], opening(state)[:1]):
        with pytest.raises(StoreCorrupt) as refusal:
            folded(batch)
        assert refusal.value.stream == f"{STREAM}s"


def test_a_later_format_is_named_with_its_record() -> None:
    later = NewRecord(kind=CHANGED, body=b"{}", v=2)
    with pytest.raises(StoreCorrupt, match="format 2") as refusal:
        folded(opening(a_state()), (later,))
    assert refusal.value.seq == 3


@given(st.binary(max_size=40), st.sampled_from([SAID, REWRITTEN, CHANGED, "run_ended"]))
def test_any_bytes_fold_or_are_damage(body: bytes, kind: str) -> None:
    damage: list[StoreCorrupt] = []
    try:
        folded(opening(a_state(HI)), (NewRecord(kind=kind, body=body),))
    except StoreCorrupt as error:
        damage.append(error)
    assert {error.seq for error in damage} <= {4}


def test_runs_are_counted() -> None:
    fold, ended = Fold("s"), RunEnded(outcome="failed", usage=Usage())
    state = a_state()
    fold.add(kept(opening(state), changes(state, state, (ended,)), changes(state, state, (ended,))))
    assert fold.runs == 2
