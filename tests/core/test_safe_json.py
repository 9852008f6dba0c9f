"""JSON from outside: depth is measured before a decoder may fall into it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.safe_json import DEEPEST, decode_json, refuse_deep
from tests import strategies


def nested(levels: int, inside: str = "1") -> str:
    return "[" * levels + inside + "]" * levels


def depth(value: Json) -> int:
    if isinstance(value, Mapping):
        return 1 + max((depth(item) for item in value.values()), default=0)
    return 1 + max((depth(item) for item in value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize("levels", [0, 1, DEEPEST])
def test_up_to_the_limit_everything_is_read(levels: int) -> None:
    assert json.dumps(decode_json(nested(levels))) == nested(levels)


@pytest.mark.parametrize(
    "text",
    [
        nested(DEEPEST + 1),
        nested(300_000),
        "[" * 300_000,
        '{"a":' * 300_000,
        '{"a":"' + "[" * 10 + '","b":' + nested(DEEPEST) + "}",
        '"\\' + "[" * 300_000,
    ],
)
def test_deeper_text_is_refused_before_it_is_decoded(text: str) -> None:
    with pytest.raises(ValueError, match=r"levels|not JSON"):
        decode_json(text)


@pytest.mark.parametrize("inside", ["[" * 999, '\\"' + "[" * 999, "\\\\", '\\\\\\"' + "{" * 999])
def test_brackets_inside_of_strings_do_not_count(inside: str) -> None:
    text = f'[{{"{inside}":"{inside}"}}]'
    refuse_deep(text)
    refuse_deep(text.encode())
    refuse_deep(msgspec.Raw(text.encode()))
    assert decode_json(text) == json.loads(text)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    text = "[" + ",".join(["[]", "{}"] * 500) + "]"
    assert decode_json(text) == json.loads(text)


@given(strategies.json_values, st.integers(min_value=0, max_value=5))
def test_the_depth_of_any_value_is_measured_exactly(value: Json, levels: int) -> None:
    text = msgspec.json.encode(value)
    if depth(value) <= levels:
        assert decode_json(text, levels) == value
    else:
        with pytest.raises(ValueError, match=f"deeper than {levels} levels"):
            refuse_deep(text, levels)


@pytest.mark.parametrize("text", ["", "{", "nul", '"open', b"\xff", b'"\xff"', "[1]]", '"\\ud800"'])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(text)


def test_an_unterminated_string_of_escapes_is_measured_in_one_pass() -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json('"' + '\\"' * 300_000 + "[" * 300)
