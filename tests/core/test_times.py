"""Instants and durations in every form, against the standard library's calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.times import duration_ms, instant_ms, upstream_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-1439, 1439),
)
def test_rfc_3339_text_is_read_as_the_calendar_says(moment: datetime, offset: int) -> None:
    at = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert instant_ms(at.isoformat(timespec="microseconds")) == (at - EPOCH) // timedelta(
        milliseconds=1
    )


@given(st.integers(min_value=0, max_value=2**50))
def test_upstreams_form_and_ours_are_the_same_instant(ms: int) -> None:
    assert instant_ms(upstream_instant(ms)) == ms
    assert instant_ms(ms) == ms


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2000-02-29t12:00:00.5z", 951_825_600_500),
        ("2024-02-29 00:00:00+00:00", 1_709_164_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ({"secs_since_epoch": 1, "nanos_since_epoch": 1_999_999, "more": 0}, 1_001),
    ],
)
def test_the_edges_of_the_forms(value: Json, ms: int) -> None:
    assert instant_ms(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        "",
        "now",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "٢024-01-01T00:00:00Z",
        {"secs_since_epoch": 1},
        {"secs_since_epoch": "1", "nanos_since_epoch": 0},
        [1],
    ],
)
def test_what_is_no_instant_is_a_value_error(value: Json) -> None:
    with pytest.raises(ValueError, match=r"instant|does not exist"):
        instant_ms(value)


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1500, 1500),
        ({"secs": 2, "nanos": 1_999_999}, 2001),
        ("500ms", 500),
        ("30s", 30_000),
        ("1m 30s", 90_000),
        ("1h30m", 5_400_000),
        ("2 days", 172_800_000),
        ("1500us", 1),
        ("999999ns", 0),
        (" 1s ", 1000),
    ],
)
def test_durations_are_read_in_every_form(value: Json, ms: int) -> None:
    assert duration_ms(value) == ms


@pytest.mark.parametrize(
    "value", [None, False, -1, 1.5, "", " ", "5", "s", "5 parsecs", "-5s", "5s!", {"secs": 1}, []]
)
def test_what_is_no_duration_is_a_value_error(value: Json) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_ms(value)
