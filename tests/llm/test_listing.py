"""What a server says it has, in each provider's form, and where that is told."""

from __future__ import annotations

import pytest

from meerkat_mob.llm.listing import beside, names_in


def test_names_are_told_once_and_in_order() -> None:
    assert names_in('{"data": [{"id": "z"}, {"id": "a"}, {"id": "z"}, {}]}') == ("a", "z")
    assert names_in('{"data": []}') == ()
    for bad in ("", "x", "[]", '{"data": 1}', "{}"):
        with pytest.raises(ValueError):  # noqa: PT011 (its words are never shown)
            names_in(bad)


def test_the_listing_is_beside_the_endpoint_and_a_query_is_kept() -> None:
    url = "https://h/gate/chat/completions?api-version=1"
    assert beside(url, endpoint="/chat/completions", listing="/models") == (
        "https://h/gate/models?api-version=1"
    )
    url = "https://h/v1beta/models/{model}:streamGenerateContent?alt=sse"
    endpoint = "/v1beta/models/{model}:streamGenerateContent?alt=sse"
    assert beside(url, endpoint=endpoint, listing="/v1beta/models") == "https://h/v1beta/models"
