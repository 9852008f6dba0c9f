"""More inputs than anybody should have waiting."""

from __future__ import annotations

import pytest

from tests.runtime.long_queue import drains_in_order


@pytest.mark.virtual_only
async def test_ten_thousand_inputs_drain_in_order_with_the_records_of_the_last_ones_kept() -> None:
    await drains_in_order(10_000)
