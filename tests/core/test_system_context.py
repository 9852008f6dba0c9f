"""System context appends: staged once per key, applied once, rendered (SES-20 to SES-22)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from meerkat_mob.core import system_context as s
from meerkat_mob.core.system_context import PendingAppend, SeenAppend, SystemContextState
from meerkat_mob.errors import InvalidParams, SystemContextConflict

EMPTY = SystemContextState()


@pytest.mark.parametrize("blank", ["", "  ", "\n\t "])
def test_blank_text_is_refused(blank: str) -> None:
    with pytest.raises(InvalidParams) as refusal:
        s.stage_append(EMPTY, blank, now=1, key="k")
    assert refusal.value.path == "text"


def test_an_append_waits_trimmed_and_its_key_is_seen() -> None:
    state, status = s.stage_append(EMPTY, "  t \n", now=5, source="mob", key="k")
    assert status == "staged"
    assert state == SystemContextState(
        pending=(PendingAppend(text="t", source="mob", idempotency_key="k", accepted_at=5),),
        seen={"k": SeenAppend(text="t", source="mob", state="pending")},
    )


def test_without_a_key_nothing_is_deduplicated() -> None:
    state, _ = s.stage_append(EMPTY, "t", now=1)
    state, status = s.stage_append(state, "t", now=2)
    assert status == "staged"
    assert [append.accepted_at for append in state.pending] == [1, 2]
    assert state.seen == {}
    assert s.mark_pending_applied(state) == EMPTY


def test_a_known_key_is_a_duplicate_before_and_after_it_was_applied() -> None:
    staged, _ = s.stage_append(EMPTY, "t", now=1, key="k")
    assert s.stage_append(staged, " t ", now=2, key="k") == (staged, "duplicate")
    applied = s.mark_pending_applied(staged)
    assert applied == SystemContextState(seen={"k": SeenAppend(text="t", state="applied")})
    assert s.stage_append(applied, "t", now=3, key="k") == (applied, "duplicate")


@pytest.mark.parametrize(("text", "source"), [("other", "a"), ("t", "b"), ("t", UNSET)])
def test_a_key_used_for_something_else_is_a_conflict(text: str, source: str | UnsetType) -> None:
    state, _ = s.stage_append(EMPTY, "t", now=1, source="a", key="k")
    with pytest.raises(SystemContextConflict) as conflict:
        s.stage_append(state, text, now=2, source=source, key="k", session_id="s1")
    assert conflict.value.code == "SESSION_SYSTEM_CONTEXT_CONFLICT"
    assert (conflict.value.key, conflict.value.session_id) == ("k", "s1")


def test_marking_with_nothing_pending_changes_nothing_and_a_lost_key_stays_lost() -> None:
    assert s.mark_pending_applied(EMPTY) is EMPTY
    pending = (PendingAppend(text="t", idempotency_key="lost", accepted_at=1),)
    assert s.mark_pending_applied(SystemContextState(pending=pending)) == EMPTY


def test_what_comes_while_a_boundary_takes_the_first_ones_goes_on_waiting() -> None:
    state, _ = s.stage_append(EMPTY, "one", now=1, key="a")
    taken = state.pending
    state, _ = s.stage_append(state, "two", now=2, key="b")
    after = s.mark_pending_applied(state, taken)
    assert [append.text for append in after.pending] == ["two"]
    assert {key: seen.state for key, seen in after.seen.items()} == {"a": "applied", "b": "pending"}
    assert s.mark_pending_applied(state, ()) is state


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(st.sampled_from("ab"), st.sampled_from(["k1", "k2", None])))
    )
)
def test_every_key_is_staged_at_most_once_whatever_happens(
    steps: list[tuple[str, str | None] | None],
) -> None:
    state, staged = EMPTY, list[str]()
    for now, step in enumerate(steps):
        if step is None:
            state = s.mark_pending_applied(state)
            assert all(seen.state == "applied" for seen in state.seen.values())
            continue
        text, key = step
        try:
            state, status = s.stage_append(state, text, now=now, key=UNSET if key is None else key)
        except SystemContextConflict:
            assert state.seen[str(key)].text != text
            continue
        if key is not None and status == "staged":
            staged.append(key)
    assert sorted(staged) == sorted(state.seen)


# -- SES-22 ------------------------------------------------------------------------------------


def test_a_block_has_a_heading_perhaps_a_source_and_the_text() -> None:
    plain = PendingAppend(text="the text", accepted_at=1)
    assert s.render_append(plain) == "[Runtime System Context]\n\nthe text"
    sourced = PendingAppend(text="the text", source="mob", accepted_at=1)
    assert s.render_append(sourced) == "[Runtime System Context]\nsource: mob\n\nthe text"


def test_blocks_and_prompt_are_joined_by_a_rule_between_blank_lines() -> None:
    one, two = (PendingAppend(text=text, accepted_at=1) for text in "ab")
    assert s.render_prompt("Prompt.", [one, two]) == (
        "Prompt.\n\n---\n\n[Runtime System Context]\n\na\n\n---\n\n[Runtime System Context]\n\nb"
    )
    assert s.render_prompt("", [one]) == "[Runtime System Context]\n\na"
    assert s.render_prompt("Prompt.", []) == "Prompt."
