"""The proxy between real sockets: what passes, with which key, and in which direction."""

from __future__ import annotations

import asyncio
import re

import httpx2
import msgspec
import pytest
from starlette.types import Message, Scope

from meerkat_mob.llm import HttpLlm, choose, open_client
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.proxied import FAULTS, decode_fault
from meerkat_mob.surfaces.http.gate import Doors
from meerkat_mob.surfaces.http.passing import MOST_OF_A_REQUEST
from meerkat_mob.surfaces.http.proxy import Note, open_proxy
from meerkat_mob.surfaces.http.upstreams import upstreams_of
from tests.llm.every_dialect import EVERY, HELLO, events_in
from tests.llm.kit import answer_of, asking, calls_in, failure_of, text_in
from tests.llm.loopback_server import (
    Asked,
    breaking_off,
    delta,
    event,
    head,
    piece,
    saying,
    saying_nothing,
    serving,
    whole,
)
from tests.surfaces.cli.kit import ROOT
from tests.surfaces.http.kit import KEYS, PAGE, asked, at, proxying

pytestmark = pytest.mark.loopback

BASES: dict[DialectName, str] = {
    "anthropic": "/anthropic",
    "chat": "/openai/v1/chat/completions",
    "gemini": "/gemini",
    "responses": "/openai",
}
OWN_KEYS: dict[DialectName, tuple[str, str]] = {
    "anthropic": ("x-api-key", "key-of-ANTHROPIC"),
    "chat": ("authorization", "Bearer key-of-OPENAI"),
    "gemini": ("x-goog-api-key", "key-of-GEMINI"),
    "responses": ("authorization", "Bearer key-of-OPENAI"),
}
MODELS = whole(200, "application/json", '{"data":[]}', "x-request-id: r-1")


def code_in(answer: httpx2.Response) -> str | None:
    fault = decode_fault(answer.text)
    return fault.code if fault else None


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


# -- streams ----------------------------------------------------------------------------------


async def test_each_piece_passes_before_the_next_is_said() -> None:
    heard = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(b"data: one\n\n"))
        await heard.wait()
        writer.write(piece(b"data: two\n\n") + piece(b""))

    async with serving(answer) as server, proxying(at(server.address)) as it:
        url = f"{it.address}/openai/responses"
        async with httpx2.AsyncClient() as client, client.stream("POST", url, content=b"{}") as got:
            pieces = got.aiter_raw()
            assert await anext(pieces) == b"data: one\n\n"
            heard.set()
            assert b"".join([rest async for rest in pieces]) == b"data: two\n\n"


@pytest.mark.parametrize("begun", [False, True])
async def test_who_hangs_up_on_the_proxy_hangs_up_on_the_provider(begun: bool) -> None:
    reached, heard = asyncio.Event(), asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        reached.set()
        if begun:
            writer.write(head() + piece(delta(content="Hel")))
        await saying_nothing(asked, writer)

    async with serving(answer) as server, proxying(at(server.address)) as it:
        client = HttpLlm(f"{it.address}/openai")

        async def listen() -> None:
            async for _ in client.stream(asking("hi")):
                heard.set()

        task = asyncio.create_task(listen())
        await (heard if begun else reached).wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.hung_up.wait()
        note = await it.note()
        await client.aclose()
    assert (note.status, note.whole) == (200 if begun else None, False)


async def test_who_leaves_in_the_middle_of_its_own_request_asks_nobody() -> None:
    async with serving(MODELS) as server, proxying(at(server.address)) as it:
        _, writer = await asyncio.open_connection("127.0.0.1", int(it.address[17:]))
        lines = ("POST /openai/responses HTTP/1.1", "host: localhost", "content-length: 9")
        writer.write(("\r\n".join(lines) + "\r\n\r\n{").encode())
        await writer.drain()
        writer.close()
        note = await it.note()
    assert note == Note(
        method="POST", path="/openai/responses", status=None, whole=False, ms=note.ms
    )
    assert server.asked == []


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_breaks_off_there_breaks_off_here(
    dialect: DialectName, reset: bool
) -> None:
    broken = breaking_off(events_in(dialect)[0], reset=reset)
    async with serving(broken) as server, proxying(at(server.address)) as it:
        client = HttpLlm(it.address + BASES[dialect], dialect=dialect)
        error = await failure_of(client, asking("hi"))
        await client.aclose()
        note = await it.note()
    assert "the connection broke before the answer was complete" in str(error)
    assert error.retryable
    assert (note.status, note.whole) == (200, False)


async def test_an_answer_that_is_shorter_than_it_said_is_cut_off_too() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with serving(answer) as server, proxying(at(server.address)) as it:
        with pytest.raises(httpx2.RemoteProtocolError):
            await asked(f"{it.address}/openai/responses")


async def test_the_end_of_the_proxy_is_no_good_end_of_an_answer() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + piece(b"data: one\n\n"))
        await saying_nothing(asked, writer)

    async with serving(answer) as server, httpx2.AsyncClient() as client:
        async with proxying(at(server.address)) as it:
            request = client.build_request("POST", f"{it.address}/openai/responses", content=b"{}")
            got = await client.send(request, stream=True)
            pieces = got.aiter_raw()
            await anext(pieces)
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(pieces)
        await server.hung_up.wait()


# -- what goes wrong --------------------------------------------------------------------------


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


# -- browsers ---------------------------------------------------------------------------------


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
