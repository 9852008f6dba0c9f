"""Strict decoding: every fault at once, each with its place."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.strict import Dialect, Fault, decode, nearest


class Tea(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tea"):
    minutes: Annotated[int, Meta(ge=1, le=9)] = 3


class Soup(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="soup"):
    of: str


class Cook(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1)]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    guest: str
    dish: Tea | Soup
    mood: Literal["calm", "hasty"] = "calm"
    cook: Cook | None = None
    notes: tuple[str, ...] = ()
    prices: Mapping[str, float] = {}
    extra: Json = None
    said: Content = ""
    warm: bool | UnsetType = UNSET


PLAIN_ORDER = {"guest": "Ada", "dish": {"kind": "soup", "of": "leek"}}


def faults_of(data: object, dialect: Dialect | None = None) -> list[tuple[str, str]]:
    value, faults = decode(Order, data, dialect=dialect or Dialect())
    blocking = {"missing_field", "invalid_value"}
    assert (value is None) == any(f.kind in blocking for f in faults)
    return [(f.kind, f.path) for f in faults]


def test_good_data_becomes_the_struct() -> None:
    value, faults = decode(
        Order, {**PLAIN_ORDER, "cook": {"name": "Bo"}, "prices": {"leek": 2}, "warm": True}
    )
    assert value == Order(
        guest="Ada", dish=Soup(of="leek"), cook=Cook(name="Bo"), prices={"leek": 2}, warm=True
    )
    assert faults == ()


def test_all_faults_are_told_at_once_with_their_full_places() -> None:
    data = {
        "gest": "Ada",
        "dish": {"kind": "tea", "minutes": 99},
        "mood": "hastly",
        "cook": {"name": "", "nmae": "Bo"},
        "notes": ["a", 7, "b", None],
        "prices": {"leek": "two", 3: 1.0},
    }
    assert faults_of(data) == [
        ("unknown_field", "gest"),
        ("invalid_value", "dish.minutes"),
        ("invalid_value", "mood"),
        ("invalid_value", "cook.name"),
        ("unknown_field", "cook.nmae"),
        ("invalid_value", "notes[1]"),
        ("invalid_value", "notes[3]"),
        ("invalid_value", "prices.leek"),
        ("invalid_value", "prices"),
        ("missing_field", "guest"),
    ]


def test_the_place_begins_with_the_given_path() -> None:
    _, faults = decode(Cook, {}, path="params.cook")
    message = "'name' is missing: expected text"
    assert faults == (Fault(kind="missing_field", path="params.cook.name", message=message),)


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    _, faults = decode(Order, {**PLAIN_ORDER, "Moood": "calm"})
    assert [f.nearest for f in faults] == ["mood"]
    assert "did you mean 'mood'?" in faults[0].message


def test_an_unknown_key_like_no_other_lists_what_is_known() -> None:
    _, faults = decode(Cook, {"name": "Bo", "zzz": 1})
    assert faults[0].nearest is None
    assert "known here: name" in faults[0].message


def test_a_value_is_built_beside_unknown_keys() -> None:
    value, faults = decode(Cook, {"name": "Bo", "hat": "tall"})
    assert value == Cook(name="Bo")
    assert [f.kind for f in faults] == ["unknown_field"]


@pytest.mark.parametrize(
    ("dish", "fault"),
    [
        ({"of": "leek"}, ("missing_field", "dish.kind")),
        ({"kind": "stew"}, ("invalid_value", "dish.kind")),
        ({"kind": 5}, ("invalid_value", "dish.kind")),
        ({"kind": "soup"}, ("missing_field", "dish.of")),
        ("soup", ("invalid_value", "dish")),
        ([], ("invalid_value", "dish")),
    ],
)
def test_a_tag_chooses_the_struct_and_is_told_when_it_does_not(
    dish: object, fault: tuple[str, str]
) -> None:
    assert faults_of({"guest": "Ada", "dish": dish}) == [fault]


@pytest.mark.parametrize(
    ("key", "wrong", "found"),
    [
        ("guest", 5, "the number 5"),
        ("guest", None, None),
        ("warm", "yes", "the text 'yes'"),
        ("warm", 1, "the number 1"),
        ("notes", "one", "the text 'one'"),
        ("prices", [], "a list"),
        ("cook", True, "true"),
        ("mood", {}, "a table"),
        ("said", 3.5, "the number 3.5"),
        ("extra", date(2026, 1, 2), "a date"),
        ("extra", float("inf"), "the number inf"),
        ("extra", {"a": [1, {"b": {1, 2}}]}, "a set"),
        ("extra", [2**64], f"the number {2**64}"),
        ("extra", "\ud800", r"the text '\ud800'"),
        ("guest", "\udfff", r"the text '\udfff'"),
        ("prices", {"leek": float("nan")}, "the number nan"),
    ],
)
def test_a_wrong_type_says_what_was_found(key: str, wrong: object, found: str | None) -> None:
    value, faults = decode(Order, {**PLAIN_ORDER, key: wrong})
    assert value is None
    if found is None:
        assert [(f.kind, f.path) for f in faults] == [("missing_field", key)]
    else:
        assert len(faults) == 1
        assert faults[0].message.startswith("expected ")
        assert f"found {found}" in faults[0].message


def test_a_key_that_is_no_text_is_a_fault() -> None:
    keys: tuple[object, ...] = (5, None, "\ud800")
    for key in keys:
        assert ("invalid_value", "prices") in faults_of({**PLAIN_ORDER, "prices": {key: 1.0}})
    assert ("invalid_value", "") in faults_of({**PLAIN_ORDER, "\ud800": 1})


def test_null_means_absent_unless_the_type_has_a_null() -> None:
    data = {**PLAIN_ORDER, "mood": None, "notes": None, "cook": None, "prices": {"leek": None}}
    value, faults = decode(Order, data)
    assert value == Order(guest="Ada", dish=Soup(of="leek"))
    assert faults == ()


def test_null_inside_json_is_kept() -> None:
    value, _ = decode(Order, {**PLAIN_ORDER, "extra": {"a": None, "b": [None]}})
    assert value is not None
    assert value.extra == {"a": None, "b": [None]}


def test_a_struct_with_its_own_rule_is_faulted_at_its_place() -> None:
    said = [{"type": "text", "text": "see"}, {"type": "image", "media_type": "x", "source": "blob"}]
    value, faults = decode(Order, {**PLAIN_ORDER, "said": said})
    assert value is None
    assert [(f.kind, f.path) for f in faults] == [("invalid_value", "said[1]")]
    assert "blob_id" in faults[0].message


def test_an_alias_stands_for_its_field_and_keeps_its_place() -> None:
    dialect = Dialect(aliases={Order: {"customer": "guest"}})
    dish = PLAIN_ORDER["dish"]
    value, _ = decode(Order, {"customer": "Ada", "dish": dish}, dialect=dialect)
    assert value == Order(guest="Ada", dish=Soup(of="leek"))
    assert faults_of({"customer": 5, "dish": dish}, dialect) == [("invalid_value", "customer")]
    both = {"guest": "Ada", "customer": "Bo", "dish": dish}
    assert faults_of(both, dialect) == [("invalid_value", "customer")]


def test_a_bare_text_stands_for_a_struct_that_has_a_shorthand() -> None:
    dialect = Dialect(shorthand={Cook: "name"})
    value, _ = decode(Order, {**PLAIN_ORDER, "cook": "Bo"}, dialect=dialect)
    assert value is not None
    assert value.cook == Cook(name="Bo")
    assert faults_of({**PLAIN_ORDER, "cook": 5}, dialect) == [("invalid_value", "cook")]


def test_a_known_key_without_effect_is_told_unless_it_asks_for_nothing() -> None:
    dialect = Dialect(unsupported={Cook: {"hat": "cooks go bareheaded"}})
    value, faults = decode(Cook, {"name": "Bo", "hat": "tall"}, dialect=dialect)
    assert value == Cook(name="Bo")
    assert [(f.kind, f.path) for f in faults] == [("unsupported_field", "hat")]
    assert "cooks go bareheaded" in faults[0].message
    nothings: tuple[Json, ...] = (None, False, "", [], {})
    for nothing in nothings:
        assert decode(Cook, {"name": "Bo", "hat": nothing}, dialect=dialect)[1] == ()


def test_a_hidden_field_is_unknown_to_authors() -> None:
    dialect = Dialect(hidden={Order: frozenset({"warm"})})
    assert faults_of({**PLAIN_ORDER, "warm": True}, dialect) == [("unknown_field", "warm")]


def test_a_hint_takes_the_place_of_the_nearest_name() -> None:
    dialect = Dialect(hints={Cook: {"names": "a cook has one name"}})
    _, faults = decode(Cook, {"name": "Bo", "names": []}, dialect=dialect)
    assert faults[0].message == "unknown key 'names'; a cook has one name"


def test_data_nested_without_end_is_a_fault() -> None:
    deep: list[object] = []
    for _ in range(2_000):  # deeper ones cannot even be thrown away inside a browser
        deep = [deep]
    value, faults = decode(Order, {**PLAIN_ORDER, "extra": deep})
    assert value is None
    assert "too deeply" in faults[-1].message


@pytest.mark.parametrize(
    ("typed", "meant"), [("comsm", "comms"), ("SHELL", "shell"), ("qqq", None)]
)
def test_the_nearest_name_is_found_or_not(typed: str, meant: str | None) -> None:
    assert nearest(typed, ["comms", "shell", "memory"]) == meant


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_data_gives_a_value_or_a_fault_and_never_raises(data: object) -> None:
    value, faults = decode(Order, data)
    assert value is not None or faults


@given(
    st.builds(
        Order,
        guest=st.text(),
        dish=st.builds(Tea, minutes=st.integers(1, 9)) | st.builds(Soup, of=st.text()),
        mood=st.sampled_from(["calm", "hasty"]),
        cook=st.none() | st.builds(Cook, name=st.text(min_size=1)),
        notes=st.lists(st.text()).map(tuple),
        warm=st.booleans() | st.just(UNSET),
    )
)
def test_what_was_encoded_decodes_to_the_same(order: Order) -> None:
    assert decode(Order, msgspec.to_builtins(order)) == (order, ())
