"""Each dialect through the one client: where it is asked, and faults with the same words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import ToolUse
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.errors import LlmFailed, LlmUnreachable
from meerkat_mob.llm import HttpLlm
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.spelling import spelt_name
from tests.llm.every_dialect import EVERY, HELLO, calling, events_in, words_in
from tests.llm.kit import answer_of, asking, calls_in, failure_of, text_in
from tests.llm.loopback_server import (
    STREAM,
    Answer,
    Asked,
    breaking_off,
    event,
    head,
    piece,
    saying,
    saying_nothing,
    serving,
    whole,
)

pytestmark = pytest.mark.loopback

PATHS: Mapping[DialectName, str] = {
    "anthropic": "/v1/messages",
    "chat": "/v1/chat/completions",
    "gemini": "/v1beta/models/some-model:streamGenerateContent?alt=sse",
    "responses": "/v1/responses",
}
KEYS: Mapping[DialectName, tuple[str, str]] = {
    "anthropic": ("x-api-key", "k"),
    "chat": ("authorization", "Bearer k"),
    "gemini": ("x-goog-api-key", "k"),
    "responses": ("authorization", "Bearer k"),
}


async def failing(dialect: DialectName, answer: Answer, *, request_s: float = 20) -> LlmFailed:
    """What a call to such a server ends with."""
    async with serving(answer) as server:
        client = HttpLlm(server.address, dialect=dialect, request_s=request_s)
        try:
            return await failure_of(client, asking("hi"))
        finally:
            await client.aclose()


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("key", ["k", None])
async def test_it_is_asked_where_and_how_its_servers_listen(
    dialect: DialectName, key: str | None
) -> None:
    async with serving(saying(*events_in(dialect))) as server:
        client = HttpLlm(server.address, dialect=dialect, api_key=key)
        answer = await answer_of(client, asking("hi", tools=["look"]))
        await client.aclose()
    assert text_in(answer) == HELLO
    assert calls_in(answer) == [("look", '{"at":1}')]
    assert answer.stop_reason == "tool_use"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", PATHS[dialect])
    name, value = KEYS[dialect]
    assert asked.headers.get(name) == (value if key else None)
    assert ("anthropic-version" in asked.headers) is (dialect == "anthropic")
    assert "hi" in asked.body.decode()
    assert isinstance(msgspec.json.decode(asked.body), dict)


@pytest.mark.parametrize("dialect", EVERY)
async def test_any_cut_of_the_bytes_gives_the_same_answer(dialect: DialectName) -> None:
    stream = b"".join(events_in(dialect))
    async with serving(saying(*(bytes([byte]) for byte in stream))) as server:
        client = HttpLlm(server.address, dialect=dialect)
        assert text_in(await answer_of(client, asking("hi"))) == HELLO
        await client.aclose()


# -- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize(
    ("status", "headers", "reason", "again", "hint"),
    [
        (400, (), "provider_error", False, None),
        (401, (), "auth_error", False, None),
        (403, (), "auth_error", False, None),
        (404, (), "invalid_model", False, None),
        (429, ("retry-after: 1.5",), "rate_limited", True, 1500),
        (429, (), "rate_limited", True, None),
        (500, (), "provider_error", True, None),
        (503, ("retry-after: 2",), "provider_error", True, 2000),
        (529, (), "provider_error", True, None),
    ],
)
async def test_an_error_status_says_the_same_everywhere(  # noqa: PLR0917
    dialect: DialectName,
    status: int,
    headers: tuple[str, ...],
    reason: str,
    again: bool,
    hint: int | None,
) -> None:
    body = '{"error":{"message":"so sorry","type":"x"}}'
    error = await failing(dialect, whole(status, "application/json", body, *headers))
    assert (error.reason, error.retryable, error.retry_after_ms) == (reason, again, hint)
    assert "so sorry" in str(error)


@pytest.mark.parametrize("dialect", EVERY)
async def test_what_is_no_answer_is_told(dialect: DialectName) -> None:
    first = events_in(dialect)[0]
    page = "<!doctype html><html>Welcome</html>"
    deep = '{"a":' * 100_000
    cases: list[tuple[Answer, str, bool]] = [
        (whole(200, "text/html", page), "a web page", False),
        (whole(502, "text/html", page), "a web page", True),
        (whole(301, "text/plain", "", "location: http://elsewhere/"), "a redirect", False),
        (saying(first, event("{not json")), "{not json", False),
        (saying(first, event(deep)), "cannot be read", False),
        (saying(first), "incomplete", False),
        (whole(200, STREAM, ""), "incomplete", False),
        (whole(200, "application/json", '{"detail":"Not Found"}'), "Not Found", False),
        (breaking_off(first), "the connection broke", True),
        (breaking_off(first, reset=True), "the connection broke", True),
    ]
    for answer, told, again in cases:
        error = await failing(dialect, answer)
        assert told in str(error)
        assert error.retryable is again


@pytest.mark.parametrize("dialect", EVERY)
async def test_an_answer_that_is_shorter_than_it_said_is_broken_off(dialect: DialectName) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        del asked
        first = events_in(dialect)[0]
        lines = ("HTTP/1.1 200 OK", f"content-type: {STREAM}", f"content-length: {len(first) + 9}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + first)
        await writer.drain()
        writer.close()

    error = await failing(dialect, answer)
    assert isinstance(error, LlmUnreachable)
    assert error.retryable


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("dripping", [False, True])
async def test_a_server_without_an_end_has_a_limit(dialect: DialectName, dripping: bool) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(events_in(dialect)[0]))
        while dripping:
            writer.write(piece(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.05)
        await saying_nothing(asked, writer)

    error = await failing(dialect, answer, request_s=0.3)
    assert (error.reason, error.retryable) == ("network_timeout", True)


@pytest.mark.parametrize("dialect", EVERY)
async def test_who_is_not_there_is_named(dialect: DialectName) -> None:
    async with serving(saying()) as server:
        gone = server.address
    client = HttpLlm(gone, dialect=dialect)
    error = await failure_of(client, asking("hi"))
    await client.aclose()
    assert f"{gone}{PATHS[dialect].partition('?')[0]}" in str(error)
    assert "nothing answers there" in str(error)


async def test_a_model_s_name_is_spelt_out_in_an_address() -> None:
    async with serving(saying(*events_in("gemini"))) as server:
        client = HttpLlm(server.address, dialect="gemini")
        for model in ("models/gemini-3", "a/b c"):
            await answer_of(client, asking("hi", model=model))
        await client.aclose()
    paths = [asked.path.partition(":")[0] for asked in server.asked]
    assert paths == ["/v1beta/models/gemini-3", "/v1beta/models/a%2Fb%20c"]


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_tool_with_a_name_that_is_refused_is_called_by_its_own(
    dialect: DialectName,
) -> None:
    events = calling(dialect, spelt_name("git.status"))
    async with serving(saying(*events)) as server:
        client = HttpLlm(server.address, dialect=dialect)
        for tools in (["git.status", "look"], ["look"]):
            (called,) = (
                block.data.name
                for block in (await answer_of(client, asking("hi", tools=tools))).blocks
                if isinstance(block, ToolUse)
            )
            assert called == ("git.status" if "git.status" in tools else spelt_name("git.status"))
        await client.aclose()


PARAMS: Mapping[DialectName, dict[str, Json]] = {
    "anthropic": {"top_k": 5, "top_p": 0.5, "inference_geo": "eu", "service_tier": "auto"},
    "chat": {"seed": 7, "frequency_penalty": 0.1, "presence_penalty": 0.2, "top_p": 0.5},
    "gemini": {"generationConfig": {"topK": 5, "topP": 0.5, "seed": 7}},
    "responses": {"top_p": 0.5, "reasoning": {"effort": "low"}, "truncation": "auto"},
}


@pytest.mark.parametrize("dialect", EVERY)
async def test_parameters_of_the_provider_s_own_are_sent_as_they_are(dialect: DialectName) -> None:
    async with serving(saying(*events_in(dialect))) as server:
        client = HttpLlm(server.address, dialect=dialect)
        asked = msgspec.structs.replace(asking("hi"), provider_params=PARAMS[dialect])
        await answer_of(client, asked)
        await client.aclose()
    (sent,) = server.asked
    body = msgspec.json.decode(sent.body)
    for name, value in PARAMS[dialect].items():
        told = body[name]
        assert told == value or value.items() <= told.items()  # type: ignore[union-attr]
    assert "anthropic-beta" not in sent.headers


async def test_betas_of_anthropic_s_are_a_header_of_the_call() -> None:
    async with serving(saying(*events_in("anthropic"))) as server:
        client = HttpLlm(server.address, dialect="anthropic")
        betas: dict[str, Json] = {"betas": ["context-1m-2025-08-07", "files-api-2025-04-14"]}
        for params in (betas, {}):
            request = msgspec.structs.replace(asking("hi"), provider_params=params)
            await answer_of(client, request)
        await client.aclose()
    first, second = server.asked
    assert first.headers["anthropic-beta"] == "context-1m-2025-08-07,files-api-2025-04-14"
    assert "betas" not in msgspec.json.decode(first.body)
    assert "anthropic-beta" not in second.headers


@pytest.mark.parametrize("betas", ["context-1m", ["a\r\nb"], ["a,b"], [1], {"a": 1}, True])
async def test_betas_that_no_header_can_name_are_refused(betas: Json) -> None:
    client = HttpLlm("http://127.0.0.1:1", dialect="anthropic")
    request = msgspec.structs.replace(asking("hi"), provider_params={"betas": betas})
    failed = await failure_of(client, request)
    await client.aclose()
    assert "betas is" in failed.detail
    assert "give a list of names" in failed.hint


ONCE: dict[str, Json] = {
    "type": "object",
    "properties": {"city": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    "required": ["city"],
    "additionalProperties": False,
}
FORMED: Mapping[DialectName, str] = {"anthropic": "claude-sonnet-4-5", "responses": "gpt-5.2"}


@pytest.mark.parametrize("dialect", EVERY)
async def test_the_end_says_what_of_the_form_its_provider_was_not_told(
    dialect: DialectName,
) -> None:
    async with serving(saying(*words_in(dialect))) as server:
        client = HttpLlm(server.address, dialect=dialect)
        request = asking("hi", model=FORMED.get(dialect, "some-model"))
        in_form = msgspec.structs.replace(request, output=OutputSchema(schema=ONCE, strict=True))
        formed, free = [await answer_of(client, asked) for asked in (in_form, request)]
        await client.aclose()
    # a server of chat completions is anybody's: nobody knows what it does with a schema
    known = () if dialect == "chat" else ("uniqueItems at #/properties/city",)
    assert (formed.unsaid, free.unsaid) == (known, ())


@pytest.mark.parametrize("dialect", sorted({*EVERY} - {"chat"}))
async def test_a_form_that_must_be_said_in_full_is_refused_before_anybody_is_asked(
    dialect: DialectName,
) -> None:
    async with serving(saying(*words_in(dialect))) as server:
        client = HttpLlm(server.address, dialect=dialect)
        request = asking("hi", model=FORMED.get(dialect, "some-model"))
        strictly = [
            msgspec.structs.replace(
                request, output=OutputSchema(schema=schema, strict=True, compat="strict")
            )
            for schema in (ONCE, {**ONCE, "properties": {"city": {"type": "string"}}})
        ]
        refused = await failure_of(client, strictly[0])
        asked_before = len(server.asked)
        await answer_of(client, strictly[1])
        await client.aclose()
    assert "cannot say uniqueItems at #/properties/city" in refused.detail
    assert "set its compat to lossy" in refused.hint
    assert (asked_before, len(server.asked)) == (0, 1)
