"""Token counts: unknown is not zero, sums stop at what the wire can hold (spec sessions 1.8)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from meerkat_mob.core.usage import Usage
from tests import strategies

MOST = 2**64 - 1


def test_both_cache_fields_are_always_said() -> None:
    assert msgspec.json.encode(Usage(input_tokens=1)) == (
        b'{"input_tokens":1,"output_tokens":0,'
        b'"cache_creation_tokens":null,"cache_read_tokens":null}'
    )
    assert msgspec.json.decode(b"{}", type=Usage) == Usage()


@pytest.mark.parametrize(
    ("a", "b", "total"), [(None, None, None), (None, 0, 0), (2, None, 2), (2, 3, 5)]
)
def test_an_absent_figure_counts_as_nought_when_the_other_side_has_one(
    a: int | None, b: int | None, total: int | None
) -> None:
    summed = Usage(cache_creation_tokens=a, cache_read_tokens=b) + Usage(
        cache_creation_tokens=b, cache_read_tokens=a
    )
    assert (summed.cache_creation_tokens, summed.cache_read_tokens) == (total, total)


def test_sums_stop_where_the_field_does() -> None:
    most = Usage(input_tokens=MOST, output_tokens=MOST, cache_read_tokens=MOST)
    assert most + most == most
    assert most.total == MOST
    assert Usage(input_tokens=2, output_tokens=3).total == 5


@given(strategies.usages, strategies.usages, strategies.usages)
def test_the_order_in_which_usage_is_added_does_not_matter(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == a
