"""Pages before the proxy: what browsers are told, and who is not let in."""

from __future__ import annotations

import pytest

from tests.llm.loopback_server import serving, whole
from tests.surfaces.http.kit import MODELS, PAGE, asked, at, code_in, proxying

pytestmark = pytest.mark.loopback


async def test_a_browser_is_told_what_its_page_may_ask() -> None:
    async with proxying({}) as it:
        told = await asked(
            f"{it.address}/anthropic/v1/messages",
            method="OPTIONS",
            origin=PAGE,
            access_control_request_method="POST",
            access_control_request_headers="content-type,x-api-key,anthropic-version",
            access_control_request_private_network="true",
        )
    assert told.status_code == 200
    allowed = {
        name.removeprefix("access-control-"): value
        for name, value in told.headers.items()
        if name.startswith("access-control-")
    }
    assert allowed == {
        "allow-origin": PAGE,
        "allow-methods": "GET, POST",
        "allow-headers": "content-type,x-api-key,anthropic-version",
        "allow-private-network": "true",
        "max-age": "600",
    }
    assert "Origin" in told.headers["vary"]


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_page_of_elsewhere_gets_nothing_and_nothing_is_asked_for_it(
    method: str, origin: str
) -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        told = await asked(
            f"{it.address}/openai/responses",
            method=method,
            origin=origin,
            access_control_request_method="POST",
            content_type="text/plain",
        )
        note = await it.note()
    assert (told.status_code, code_in(told)) == (403, "origin_refused")
    assert not any(name.startswith("access-control-") for name in told.headers)
    assert told.headers["vary"] == "Origin"
    assert server.asked == []
    assert note.status == 403


async def test_a_name_that_was_led_here_is_refused() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        url = f"{it.address}/openai/responses"
        told = await asked(url, host="evil.example", origin="http://evil.example")
        same = await asked(url, host="evil.example")
    assert {told.status_code, same.status_code} == {403}
    assert (code_in(told), code_in(same)) == ("host_refused", "host_refused")
    assert server.asked == []


async def test_what_a_request_says_of_where_it_comes_from_is_not_believed() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        told = await asked(f"{it.address}/openai/responses", x_forwarded_for="10.0.0.9")
    assert told.status_code == 200


@pytest.mark.parametrize("status", [200, 401, 404, 502])
async def test_a_page_can_read_every_answer_good_or_bad(status: int) -> None:
    answering = whole(status, "application/json", "{}", "retry-after: 1")
    async with serving(answering) as server, proxying(at(server.address)) as it:
        path = "/openai/responses" if status != 404 else "/nowhere"
        told = await asked(it.address + path, origin=PAGE)
    assert told.status_code == status
    assert told.headers["access-control-allow-origin"] == PAGE
    assert told.headers["access-control-expose-headers"] == "*"
    assert "Origin" in told.headers["vary"]
