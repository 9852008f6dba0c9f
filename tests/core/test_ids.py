"""Minted ids: UUIDv7, sorted by time, the same for the same clock and entropy."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.ids import Ids, comms_name, uuid7_text


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_an_id_is_a_version_7_uuid_that_carries_its_time(ms: int, rand: int) -> None:
    text = uuid7_text(ms, rand)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == ms
    assert (parsed.int >> 64 & 0xFFF) << 62 | parsed.int & (1 << 62) - 1 == rand


@given(st.lists(st.integers(-5, 5), max_size=40), st.binary(min_size=9, max_size=9))
def test_ids_grow_strictly_even_when_the_clock_stands_or_goes_back(
    steps: list[int], entropy: bytes
) -> None:
    now = 1_000

    def clock() -> int:
        return now

    ids = Ids(clock, lambda count: entropy[:count])
    minted = [ids()]
    for step in steps:
        now += step
        minted.append(ids())
    assert minted == sorted(set(minted))


def test_the_same_clock_and_entropy_mint_the_same_ids() -> None:
    def source() -> Ids:
        return Ids(lambda: 5, lambda count: bytes(range(count)))

    one, two = source(), source()
    assert [one() for _ in range(5)] == [two() for _ in range(5)]


@given(st.integers(0, 2**24 - 1), st.integers(0, 3))
def test_ids_count_on_when_their_last_digits_are_all_set(high: int, below: int) -> None:
    start = (high << 48) + 2**48 - 1 - below
    ids = Ids(lambda: 7, lambda count: start.to_bytes(count, "big"))
    assert [ids() for _ in range(8)] == [uuid7_text(7, start + n) for n in range(8)]


def test_the_highest_entropy_does_not_spill_into_the_time() -> None:
    ids = Ids(lambda: 7, lambda count: b"\xff" * count)
    minted = [ids() for _ in range(3)]
    assert {uuid.UUID(text).int >> 80 for text in minted} == {7}
    assert minted == sorted(minted)


def test_a_comms_name_is_mob_profile_and_member() -> None:
    assert comms_name("war-room", "lead", "lead-1") == "war-room/lead/lead-1"
