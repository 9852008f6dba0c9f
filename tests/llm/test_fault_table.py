"""Every fault of a server ends the same way in every dialect: the right reason, tries and wait."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from meerkat_mob.llm.dialect import DialectName
from tests.llm.every_dialect import EVERY
from tests.llm.fault_table import FAULTS, outcome

pytestmark = pytest.mark.virtual_only

ENDS: Mapping[str, tuple[str, int, int | None]] = {
    "nobody there": ("provider_error", 1, 0),
    "401": ("auth_error", 1, 0),
    "404": ("invalid_model", 1, 0),
    "429, wait 7 s": ("rate_limited", 4, 21_000),
    "429 without a hint": ("rate_limited", 4, 90_000),
    "500": ("provider_error", 4, 3500),
    "503": ("provider_error", 4, 3500),
    "redirect": ("provider_error", 1, 0),
    "a web page": ("provider_error", 1, 0),
    "silence, from the start": ("network_timeout", 4, 1_203_500),
    "silence, in the middle": ("network_timeout", 4, 1_203_500),
    "reset in the middle": ("provider_error", 4, 3500),
    "wrong length": ("provider_error", 4, 3500),
    "an end in the middle": ("provider_error", 1, 0),
    "garbage in the middle": ("provider_error", 1, 0),
    "a slow drip, 0.1 s a byte": ("answered", 1, None),
    "a slow drip, 30 s a byte": ("network_timeout", 4, 1_203_500),
}
"""By fault: the reason, how often the server was asked, and the ms until the run ended."""


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_ends_as_it_should(fault: str, dialect: DialectName) -> None:
    reason, calls, lost_ms = ENDS[fault]
    told = await outcome(fault, dialect)
    assert (told.ended, told.calls) == (reason, calls)
    assert lost_ms is None or told.lost_ms == lost_ms
    assert (told.told == "") is (reason == "answered")
