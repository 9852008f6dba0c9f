"""Which models a server says it has."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import LlmFailed, LlmUnreachable
from meerkat_mob.llm import HttpLlm
from meerkat_mob.llm.dialect import DialectName
from tests.llm.loopback_server import Answer, Asked, serving, whole


def telling(status: int, body: Json) -> Answer:
    """An answer in JSON; text stands for itself."""
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    return whole(status, "application/json", text)


OF_OPENAI: Json = {"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a"}]}
OF_ANTHROPIC: Json = {"data": [{"id": "a", "type": "model"}, {"id": "b"}], "has_more": False}
OF_GEMINI: Json = {"models": [{"name": "models/a"}, {"name": "models/b", "version": "1"}]}


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("dialect", "listing", "path", "header"),
    [
        ("chat", OF_OPENAI, "/v1/models", "authorization"),
        ("responses", OF_OPENAI, "/v1/models", "authorization"),
        ("anthropic", OF_ANTHROPIC, "/v1/models?limit=1000", "x-api-key"),
        ("gemini", OF_GEMINI, "/v1beta/models?pageSize=1000", "x-goog-api-key"),
    ],
)
async def test_a_server_is_asked_which_models_it_has(
    dialect: DialectName, listing: Json, path: str, header: str
) -> None:
    async with serving(telling(200, listing)) as server:
        client = HttpLlm(server.address, dialect=dialect, api_key="k")
        assert await client.models() == ("a", "b")
        await client.aclose()
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("GET", path, b"")
    assert asked.headers[header].removeprefix("Bearer ") == "k"


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (telling(401, {"error": {"message": "no"}}), LlmFailed, "it wants a key"),
        (telling(200, {"object": "list"}), LlmUnreachable, "not as a model server"),
        (telling(200, "[" * 5000), LlmUnreachable, "not as a model server"),
    ],
)
async def test_what_comes_instead_is_told(answer: Answer, kind: type[LlmFailed], told: str) -> None:
    async with serving(answer) as server:
        client = HttpLlm(server.address)
        with pytest.raises(kind, match=told):
            await client.models()
        await client.aclose()


@pytest.mark.loopback
async def test_a_server_that_says_nothing_is_waited_for_as_long_as_is_said() -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as server:
        client = HttpLlm(server.address, request_s=0.05)
        with pytest.raises(LlmFailed, match=r"did not begin to answer within 0\.05 s"):
            await client.models()
        await client.aclose()
