"""What goes wrong at the provider or in the proxy, and how each dialect's client tells it."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from starlette.types import Message, Scope

from meerkat_mob.llm import HttpLlm
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.proxied import FAULTS
from meerkat_mob.surfaces.http.gate import Doors
from meerkat_mob.surfaces.http.passing import MOST_OF_A_REQUEST
from meerkat_mob.surfaces.http.proxy import Note, open_proxy
from meerkat_mob.surfaces.http.upstreams import upstreams_of
from tests.llm.every_dialect import EVERY
from tests.llm.kit import asking, failure_of
from tests.llm.loopback_server import Asked, serving, whole
from tests.surfaces.cli.kit import ROOT
from tests.surfaces.http.kit import (
    BASES,
    KEYS,
    MODELS,
    OWN_KEYS,
    PAGE,
    asked,
    at,
    code_in,
    proxying,
)

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("status", [400, 401, 403, 500, 503, 529])
async def test_a_provider_s_own_errors_pass_as_they_are(dialect: DialectName, status: int) -> None:
    body = '{"error":{"message":"so sorry","type":"x"}}'
    refusing = whole(status, "application/json", body, "retry-after: 2")
    async with serving(refusing) as server, proxying(at(server.address)) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert error.status == status
    assert "so sorry" in str(error)
    assert error.retry_after_ms == 2000


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_provider_that_is_not_there_is_told_in_every_dialect(dialect: DialectName) -> None:
    async with serving(MODELS) as server:
        gone = server.address
    async with proxying(at(gone)) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert (error.status, error.reason, error.retryable) == (502, "provider_error", False)
    assert f"the proxy cannot reach {gone}" in str(error)
    assert "_BASE_URL" in error.hint


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_provider_without_a_key_is_told_in_every_dialect(dialect: DialectName) -> None:
    async with proxying({}) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert (error.status, error.reason, error.retryable) == (503, "auth_error", False)
    assert f"{OWN_KEYS[dialect][1].rpartition('-')[2]}_API_KEY" in error.hint


async def test_a_provider_that_hangs_up_at_once_may_be_asked_again() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving(answer) as server, proxying(at(server.address)) as it:
        client = HttpLlm(f"{it.address}/anthropic", dialect="anthropic")
        error = await failure_of(client, asking("hi"))
        await client.aclose()
    assert (error.status, error.retryable) == (502, True)
    assert "hung up on the proxy" in str(error)


async def test_a_redirect_is_told_and_leads_no_page_away() -> None:
    moved = whole(307, "text/plain", "", "location: http://elsewhere/")
    async with serving(moved) as server, proxying(at(server.address)) as it:
        told = await asked(f"{it.address}/openai/responses", origin=PAGE)
    assert (told.status_code, code_in(told)) == (502, "no_model_server")
    assert "location" not in told.headers
    assert "OPENAI_BASE_URL" in told.text


@pytest.mark.parametrize("excess", [0, 1])
async def test_a_request_that_is_too_long_is_told_and_passed_to_nobody(excess: int) -> None:
    body = b" " * (MOST_OF_A_REQUEST + excess)
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        told = await asked(f"{it.address}/openai/responses", body=body)
    assert told.status_code == (413 if excess else 200)
    assert code_in(told) == ("too_large" if excess else None)
    assert [len(one.body) for one in server.asked] == ([] if excess else [len(body)])


async def test_no_key_is_in_anything_that_it_says() -> None:
    async with serving(MODELS) as server:
        gone = server.address
    told: list[str] = []
    async with proxying(at(gone)) as it:
        for path in ("/openai/responses", "/anthropic/v1/messages", "/nowhere"):
            answer = await asked(it.address + path, authorization="Bearer of-the-page")
            told.append(f"{answer.headers} {answer.text}")
        told += [str(msgspec.to_builtins(note)) for note in it.notes]
    assert len(told) == 6
    for secret in (*KEYS.values(), "of-the-page"):
        assert secret not in " ".join(told)


async def test_an_error_of_ours_is_noted_by_its_kind() -> None:
    notes: list[Note] = []

    async def called(scope: Scope) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise KeyError("sk-secret")

        doors = Doors(origins=frozenset(), host="127.0.0.1")
        async with open_proxy(upstreams_of(KEYS), doors, notes.append) as app:
            with pytest.raises(KeyError):
                await app(scope, receive, send)
        return sent

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/openai/responses",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 9),
    }
    assert await called(scope) == []
    assert [(one.fault, one.status) for one in notes] == [("KeyError", None)]


def test_the_page_about_it_has_the_same_table() -> None:
    page = (ROOT / "docs" / "browser.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (\d+) \|", page, flags=re.MULTILINE)
    told = {code: int(status) for codes, status in rows for code in re.findall("[a-z_]+", codes)}
    assert told == {code: row.status for code, row in FAULTS.items()}
