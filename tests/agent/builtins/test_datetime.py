"""The tool that tells the time, with and without a zone database."""

from __future__ import annotations

from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob._target import IN_BROWSER
from meerkat_mob.agent.builtins import datetime_tool
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.testing.builders import NEW_YEAR_2030, a_clock
from tests.agent.builtins.kit import call_of, refusal_of, value_of

TOOL = datetime_tool(a_clock(at=NEW_YEAR_2030 + 7))


async def asked(**args: Json) -> dict[str, Json]:
    return value_of(await call_of(TOOL, **args))


async def test_it_tells_the_time_of_its_clock_in_utc() -> None:
    expected = {
        "iso": "2030-01-01T00:00:00.007+00:00",
        "unix_ms": NEW_YEAR_2030 + 7,
        "zone": "UTC",
    }
    assert await asked() == expected
    assert await asked(zone="UTC") == expected
    assert await asked(zone=None) == expected


@pytest.mark.parametrize(
    ("zone", "iso"),
    [
        ("Z", "2030-01-01T00:00:00.007+00:00"),
        ("+05:30", "2030-01-01T05:30:00.007+05:30"),
        ("-09:30", "2029-12-31T14:30:00.007-09:30"),
        ("+00:00", "2030-01-01T00:00:00.007+00:00"),
    ],
)
async def test_fixed_offsets_need_no_database(zone: str, iso: str) -> None:
    told = await asked(zone=zone)
    assert (told["iso"], told["zone"]) == (iso, zone)


async def test_a_named_zone_is_known_where_there_is_a_database_and_refused_elsewhere() -> None:
    outcome = await call_of(datetime_tool(a_clock(at=1_751_328_000_000)), zone="Asia/Kathmandu")
    if available_timezones():
        assert value_of(outcome)["iso"] == "2025-07-01T05:45:00.000+05:45"
    else:
        code, message = refusal_of(outcome)
        assert code == "invalid_arguments"
        assert "no named zones here" in message
        assert "+02:00" in message


def test_only_a_page_has_no_zone_database() -> None:
    """Where the suite runs; when this fails, the page has learnt it, and the docs should say so."""
    assert bool(available_timezones()) is not IN_BROWSER


@pytest.mark.parametrize(
    "zone", ["", "Europe", "../etc/passwd", "/etc/localtime", "+25:00", "+2:00", "a\0b", "n" * 999]
)
async def test_what_is_no_zone_is_refused(zone: str) -> None:
    code, message = refusal_of(await call_of(TOOL, zone=zone))
    assert code == "invalid_arguments"
    assert "no zone" in message


async def test_a_misspelt_zone_is_answered_with_the_nearest() -> None:
    _, message = refusal_of(await call_of(TOOL, zone="europe/amsterdam"))
    assert ("did you mean 'Europe/Amsterdam'?" in message) is bool(available_timezones())


@given(zone=st.text())
async def test_no_text_as_a_zone_is_a_fault_of_the_tool(zone: str) -> None:
    outcome = await call_of(TOOL, zone=zone)
    assert not outcome.is_error or refusal_of(outcome)[0] == "invalid_arguments"


def test_its_definition_says_what_it_is_and_where_it_comes_from() -> None:
    definition = TOOL.definition
    assert definition.name == "datetime"
    assert definition.provenance is not None
    assert "required" not in definition.input_schema or definition.input_schema["required"] == []
