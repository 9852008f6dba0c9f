"""What passes through the proxy, where it goes, and with which key."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from meerkat_mob.llm import HttpLlm, choose, open_client
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.proxied import decode_fault
from tests.llm.every_dialect import EVERY, HELLO, events_in
from tests.llm.kit import answer_of, asking, calls_in, text_in
from tests.llm.loopback_server import Asked, delta, event, saying, serving, whole
from tests.surfaces.http.kit import BASES, MODELS, OWN_KEYS, PAGE, asked, at, proxying

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("given", [None, "a-key-of-the-page-s"])
async def test_every_dialect_is_asked_through_it_with_its_own_key(
    dialect: DialectName, given: str | None
) -> None:
    async with serving(saying(*events_in(dialect))) as server, proxying(at(server.address)) as it:
        client = open_client(choose("some-model", base_url=it.address + BASES[dialect]))
        if given is not None:
            client = HttpLlm(it.address + BASES[dialect], dialect=dialect, api_key=given)
        answer = await answer_of(client, asking("hi", tools=["look"]))
        await client.aclose()
        note = await it.note()
    assert (text_in(answer), calls_in(answer)) == (HELLO, [("look", '{"at":1}')])
    (one,) = server.asked
    name, value = OWN_KEYS[dialect]
    assert one.headers[name] == value
    assert ("anthropic-version" in one.headers) is (dialect == "anthropic")
    assert "a-key-of-the-page-s" not in str(one)
    assert b"hi" in one.body
    assert (note.method, note.status, note.whole) == ("POST", 200, True)
    assert "?" not in note.path


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_client_learns_through_it_which_models_there_are(dialect: DialectName) -> None:
    form = "models" if dialect == "gemini" else "data"
    telling = whole(200, "application/json", f'{{"{form}":[{{"id":"m-1"}}]}}')
    async with serving(telling) as server, proxying(at(server.address)) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        assert await client.models() == ("m-1",)
        await client.aclose()
    (one,) = server.asked
    version = "/v1beta" if dialect == "gemini" else "/v1"
    path = DIALECTS[dialect].listing.removeprefix(version)
    assert (one.method, one.path) == ("GET", version + path)
    name, value = OWN_KEYS[dialect]
    assert one.headers[name] == value


async def test_the_models_of_a_provider_can_be_listed_and_request_ids_come_back() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        for path in ("/openai/models", "/openai/v1/models", "/anthropic/v1/models?limit=2"):
            answer = await asked(it.address + path, method="GET", body=b"")
            assert (answer.status_code, answer.text) == (200, '{"data":[]}')
            assert answer.headers["x-request-id"] == "r-1"
    assert [one.path for one in server.asked] == [
        "/v1/models",
        "/v1/models",
        "/v1/models?limit=2",
    ]
    assert {one.method for one in server.asked} == {"GET"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/openai"),
        ("POST", "/openai/v1/files"),
        ("POST", "/openai/v1/responses/"),
        ("GET", "/openai/v1/responses"),
        ("DELETE", "/openai/v1/models"),
        ("HEAD", "/openai/v1/models"),
        ("POST", "/openai/v1/../v1/responses"),
        ("POST", "/anthropic/v1/organizations/api_keys"),
        ("GET", "/gemini/v1beta/models/m:streamGenerateContent"),
        ("POST", "/gemini/v1beta/models/m:embedContent"),
        ("POST", "/gemini/v1beta/cachedContents"),
        ("POST", "/elsewhere/v1/messages"),
    ],
)
async def test_nothing_else_passes_and_the_answer_says_what_does(method: str, path: str) -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(it.address[17:]))
        lines = (f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        told = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert told.startswith("HTTP/1.1 404")
    assert server.asked == []
    if method != "HEAD":
        fault = decode_fault(told.partition("\r\n\r\n")[2])
        assert fault is not None
        assert fault.detail == f"{method} {path} does not pass"
        assert "POST /anthropic/v1/messages" in fault.hint


async def test_a_key_in_the_query_and_what_tells_of_the_page_stay_here() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        await asked(
            f"{it.address}/gemini/v1beta/models?key=stolen&pageSize=3&access_token=stolen",
            method="GET",
            body=b"",
            origin=PAGE,
            referer=f"{PAGE}/secret",
            cookie="session=stolen",
            authorization="Bearer stolen",
            x_goog_api_key="stolen",
            x_api_key="stolen",
            proxy_authorization="Basic stolen",
            anthropic_dangerous_direct_browser_access="true",
            anthropic_beta="b-1",
        )
    (one,) = server.asked
    assert one.path == "/v1beta/models?pageSize=3"
    assert "stolen" not in str(one)
    assert set(one.headers) == {
        *("host", "accept", "accept-encoding", "user-agent", "anthropic-beta", "x-goog-api-key")
    }
    assert one.headers["x-goog-api-key"] == "key-of-GEMINI"


async def test_what_a_page_says_is_passed_on_byte_for_byte() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        odd = [(b"anthropic-beta", "é".encode()), (b"anthropic-version", b"of-tomorrow")]
        async with httpx2.AsyncClient() as client:
            url = f"{it.address}/anthropic/v1/messages"
            told = await client.post(url, content="naïve", headers=odd)
    assert told.status_code == 200
    (one,) = server.asked
    assert one.headers["anthropic-beta"] == "é"
    assert one.headers["anthropic-version"] == "of-tomorrow"
    assert one.body.decode() == "naïve"


async def test_what_speaks_of_one_connection_or_of_cookies_does_not_come_back() -> None:
    answer = whole(
        429,
        "application/json",
        '{"error":{"message":"slow down"}}',
        "retry-after: 7",
        "x-ratelimit-remaining-tokens: 5",
        "anthropic-ratelimit-requests-reset: soon",
        "request-id: r-2",
        "connection: keep-alive, x-hop",
        "x-hop: one",
        "keep-alive: timeout=5",
        "set-cookie: a=b",
        "access-control-allow-origin: *",
        "access-control-allow-credentials: true",
        "strict-transport-security: max-age=1",
        "server: theirs",
    )
    async with serving(answer) as server, proxying(at(server.address)) as it:
        told = await asked(f"{it.address}/anthropic/v1/messages", origin=PAGE)
    assert (told.status_code, told.json()) == (429, {"error": {"message": "slow down"}})
    kept = {"retry-after": "7", "x-ratelimit-remaining-tokens": "5", "request-id": "r-2"}
    assert kept.items() <= dict(told.headers).items()
    assert told.headers["anthropic-ratelimit-requests-reset"] == "soon"
    gone = {"x-hop", "keep-alive", "set-cookie", "strict-transport-security", "server"}
    gone.add("access-control-allow-credentials")
    assert gone & set(told.headers) == set()
    assert told.headers["access-control-allow-origin"] == PAGE


async def test_one_page_s_cookies_are_not_given_to_the_next() -> None:
    answer = whole(200, "application/json", "{}", "set-cookie: a=b; Path=/")
    async with serving(answer) as server, proxying(at(server.address)) as it:
        for _ in range(2):
            await asked(f"{it.address}/openai/responses")
    assert [one.headers.get("cookie") for one in server.asked] == [None, None]


async def test_many_members_are_answered_at_once() -> None:
    waiting = 60
    all_here = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(server.asked) == waiting:
            all_here.set()
        await all_here.wait()
        await saying(delta(content="Hello"), delta("stop"), event("[DONE]"))(asked, writer)

    async with serving(answer) as server, proxying(at(server.address)) as it:
        client = HttpLlm(f"{it.address}/openai")
        answers = await asyncio.gather(*(answer_of(client, asking("hi")) for _ in range(waiting)))
        await client.aclose()
    assert {text_in(one) for one in answers} == {"Hello"}
