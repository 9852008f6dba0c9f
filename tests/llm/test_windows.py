"""How much a model can look at."""

from __future__ import annotations

import pytest

from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.llm.windows import window_of


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("gpt-5.2", 400_000),
        ("GPT-4.1-mini", 1_047_576),
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-opus-5-5", 1_000_000),
        ("gemini-3-pro", 1_048_576),
        ("llama3.2", None),
        ("scripted", None),
    ],
)
def test_a_name_tells_the_size_of_a_window(model: str, size: int | None) -> None:
    assert window_of(model) == size


def test_a_history_is_compacted_at_four_fifths_of_it() -> None:
    assert CompactionPolicy().threshold(400_000) == 320_000
    assert CompactionPolicy().threshold(None) == 100_000
    assert CompactionPolicy(window_tokens=1000).threshold(400_000) == 800
