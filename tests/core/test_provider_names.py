"""Which provider a model's name belongs to (spec sessions 1.3)."""

from __future__ import annotations

import pytest

from meerkat_mob.core.provider_names import Provider, infer_provider


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-opus-4-6", "anthropic"),
        ("CLAUDE-x", "anthropic"),
        ("gpt-5", "openai"),
        ("ChatGPT-4o-latest", "openai"),
        ("codex-mini-latest", "openai"),
        ("o4-mini", "openai"),
        ("o3", "openai"),
        ("olmo-2", "other"),
        ("o3x", "other"),
        ("gemini-3-pro", "gemini"),
        ("claude", "other"),
        ("my-gpt-5", "other"),
        ("llama3.2", "other"),
        ("scripted", "other"),
        ("", "other"),
    ],
)
def test_a_prefix_in_any_case_names_the_provider(model: str, provider: Provider) -> None:
    assert infer_provider(model) == provider
