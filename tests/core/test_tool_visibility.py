"""Tool filters: their wire form, and how they combine (spec sessions 1.7, TS-1)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.tool_visibility import (
    NameFilter,
    ToolFilter,
    ToolVisibilityState,
    allow,
    deny,
    permits,
)
from tests import strategies


@pytest.mark.parametrize(
    ("one", "wire"),
    [
        ("all", '"all"'),
        (allow(["b", "a", "b"]), '{"allow":["a","b"]}'),
        (deny([]), '{"deny":[]}'),
    ],
)
def test_a_filter_is_read_and_written_the_same(one: ToolFilter, wire: str) -> None:
    assert msgspec.json.encode(one).decode() == wire
    decoded: ToolFilter = msgspec.json.decode(wire, type=ToolFilter)
    assert decoded == one


@pytest.mark.parametrize("wire", ["{}", '{"allow":[],"deny":[]}', '"none"', '{"allow":"a"}'])
def test_a_filter_says_one_thing(wire: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wire, type=ToolFilter)


def test_requested_names_are_sorted_and_said_once() -> None:
    state = ToolVisibilityState(
        active_requested_deferred_names=("b", "a", "b"), staged_requested_deferred_names=("c", "c")
    )
    assert state.active_requested_deferred_names == ("a", "b")
    assert state.staged_requested_deferred_names == ("c",)


@given(st.lists(strategies.tool_filters, max_size=4), strategies.names)
def test_allow_lists_intersect_deny_lists_add_up_and_deny_beats_allow(
    filters: list[ToolFilter], name: str
) -> None:
    named = [one for one in filters if isinstance(one, NameFilter)]
    allowed = [set(one.allow) for one in named if isinstance(one.allow, tuple)]
    denied = [set(one.deny) for one in named if isinstance(one.deny, tuple)]
    expected = all(name in names for names in allowed) and not any(name in n for n in denied)
    assert permits(name, *filters) is expected


def test_a_named_tool_is_shown_or_hidden() -> None:
    assert permits("a")
    assert permits("a", "all", allow(["a"]), deny(["b"]))
    assert not permits("a", allow(["a"]), deny(["a"]))
    assert not permits("a", allow([]))
