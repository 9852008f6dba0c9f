"""Tool arguments: one form for whatever a model sends (spec sessions section 0)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.arguments import encode_arguments, normalise_arguments, normalise_json
from meerkat_mob.core.jsonvalue import Json, JsonObject
from tests import strategies


def text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


def pretty_float(value: float) -> str:
    """An independent account of the shortest form: Python's digits, laid out by the rule."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits, point = whole + fraction, len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if 0 < point <= 16:
        padded = digits.ljust(point, "0")
        return f"{sign}{padded[:point]}.{padded[point:] or '0'}"
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{tail}e{point - 1}"


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ('{ "b" : 1.50, "a":[1, 2], "c": 1E-7 }', '{"a":[1,2],"b":1.5,"c":1e-7}'),
        ('{"a":1.0,"b":1e21,"c":1E+2,"d":-0.0}', '{"a":1.0,"b":1e21,"c":100.0,"d":-0.0}'),
        ('{"z":{"y":[{"b":1,"a":2}],"x":null}}', '{"z":{"x":null,"y":[{"a":2,"b":1}]}}'),
        ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
        ('{"a":{"k":1,"k":2}}', '{"a":{"k":2}}'),
        (
            '{"max":18446744073709551615,"min":-9223372036854775808}',
            '{"max":18446744073709551615,"min":-9223372036854775808}',
        ),
        ('{"a":18446744073709551616}', '{"a":1.8446744073709552e19}'),
        ('{"a":-9223372036854775809}', '{"a":-9.223372036854776e18}'),
        ('{"\\u00e9":"\\u00e9\\/\\n\\u0001\\ud83d\\ude00"}', '{"é":"é/\\n\\u0001😀"}'),
        ('{"\U0001f600":1,"\uff5e":2,"a":3}', '{"a":3,"\uff5e":2,"\U0001f600":1}'),
        ("", "{}"),
        ("  \n", "{}"),
    ],
)
def test_arguments_are_brought_to_the_stored_form(given_text: str, stored: str) -> None:
    assert text(normalise_arguments(given_text)) == stored
    assert text(normalise_arguments(given_text.encode())) == stored


@pytest.mark.parametrize(
    "bad",
    [
        "[1]",
        "1",
        "null",
        '"text"',
        '{"a":',
        "{a:1}",
        '{"a":1}{"b":2}',
        '{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        '{"a":1e400}',
        '{"a":1' + "0" * 400 + "}",
        '{"a":' * 129 + "1" + "}" * 129,
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_what_is_no_object_or_out_of_range_cannot_be_dispatched(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalise_arguments(bad)


def test_128_levels_of_nesting_are_taken_and_not_one_more() -> None:
    deepest = '{"a":' * 128 + "1" + "}" * 128
    assert text(normalise_arguments(deepest)) == deepest
    with pytest.raises(ValueError, match="128 levels"):
        normalise_arguments('{"a":' + deepest + "}")


def test_an_integer_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        encode_arguments({"a": 10**400})


@given(strategies.json_objects)
def test_arguments_keep_their_value(value: JsonObject) -> None:
    assert json.loads(text(encode_arguments(value))) == value


@given(strategies.json_values)
def test_normalising_again_changes_nothing(value: Json) -> None:
    once = encode_arguments(value)
    assert bytes(normalise_json(once)) == bytes(once)


@given(strategies.json_objects, st.randoms(use_true_random=False))
def test_neither_order_nor_blanks_nor_escapes_matter(value: JsonObject, random: Any) -> None:
    def shuffled(item: Json) -> Json:
        if isinstance(item, Mapping):
            keys = list(item)
            random.shuffle(keys)
            return {key: shuffled(item[key]) for key in keys}
        return [shuffled(one) for one in item] if isinstance(item, list) else item

    sent = json.dumps(shuffled(value), indent=2, ensure_ascii=True)
    assert bytes(normalise_arguments(sent)) == bytes(encode_arguments(value))


@given(strategies.json_objects)
def test_keys_are_sorted_at_every_level(value: JsonObject) -> None:
    def check(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        assert keys == sorted(keys)
        return dict(pairs)

    json.loads(text(encode_arguments(value)), object_pairs_hook=check)


def without_floats(value: Json) -> bool:
    if isinstance(value, Mapping):
        return all(without_floats(item) for item in value.values())
    return (
        all(without_floats(item) for item in value)
        if isinstance(value, list)
        else not isinstance(value, float)
    )


@given(strategies.json_objects.filter(without_floats))
def test_the_stored_form_is_compact_sorted_unescaped_json(value: JsonObject) -> None:
    independent = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert text(encode_arguments(value)) == independent


@given(strategies.exact_integers)
def test_integers_of_64_bits_stay_exact(value: int) -> None:
    assert text(normalise_arguments(f'{{"n":{value}}}')) == f'{{"n":{value}}}'


@given(strategies.finite_floats)
def test_other_numbers_take_their_shortest_form(value: float) -> None:
    assert text(encode_arguments(value)) == pretty_float(value)


@given(st.lists(st.tuples(strategies.texts, strategies.exact_integers), max_size=6))
def test_the_last_duplicate_wins(pairs: list[tuple[str, int]]) -> None:
    members = ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs)
    assert json.loads(text(normalise_arguments(f"{{{members}}}"))) == dict(pairs)
