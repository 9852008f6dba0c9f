"""A page that holds no key asks models through ``meerkat-mob proxy``, under the browser's rules."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from meerkat_mob.llm.dialect import DialectName
from tests.llm.every_dialect import EVERY, HELLO, events_in
from tests.surfaces.cli.proxy_process import KEY, asking_at, running
from tests.surfaces.http.kit import BASES
from tests.web import chat_team, model_server
from tests.web.test_page import SOON_MS, ask_server, lenient, opened, with_pair

pytestmark = pytest.mark.loopback

ASK = """
import json
from contextlib import aclosing
from pyodide.http import pyfetch
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.llm import LlmDone, LlmRequest, LlmTextDelta, choose, open_client

async def ask(base_url, server):
    choice = choose("some-model", base_url=base_url)
    client = open_client(choice)
    request = LlmRequest(model="some-model", messages=[UserMessage(content="count")])
    texts, error = [], None
    async with aclosing(client.stream(request)) as events:
        async for event in events:
            if isinstance(event, LlmTextDelta):
                texts.append(event.delta)
                if len(texts) == 1:
                    await pyfetch(server + "/seen")
            if isinstance(event, LlmDone) and event.error is not None:
                error = str(event.error)
    await client.aclose()
    told = {"dialect": choice.dialect, "text": "".join(texts), "error": error}
    return json.dumps(told)

"""


@pytest.mark.parametrize(
    ("base", "path", "key"),
    [
        ("/anthropic", "/v1/messages", KEY),
        ("/openai/v1/chat/completions", "/v1/chat/completions", f"Bearer {KEY}"),
    ],
)
def test_a_team_plays_to_its_answer_on_a_page_without_a_key(
    browser: Browser, address: str, base: str, path: str, key: str
) -> None:
    tab = lenient(browser)
    sent: list[str] = []
    tab.on("request", lambda request: sent.append(f"{request.headers} {request.post_data}"))
    with (
        chat_team.serving(cors=False) as team,
        running("--origin", address, env=asking_at(team.base_url)) as proxy,
    ):
        with_pair(opened(tab, address))
        ask_server(tab, proxy.address + base)
        outcome = tab.locator("#outcome")
        expect(outcome).to_contain_text("lead answers", timeout=SOON_MS)
        proxy.stop()
    expect(tab.locator("#answer")).to_contain_text("model says: done.")
    assert {(asked, told) for asked, told, _ in team.asked} == {(path, key)}
    assert sent
    assert not any(KEY in one for one in sent)
    assert proxy.log.count(" 200 ") >= len(team.asked)
    assert KEY not in proxy.log
    tab.context.close()


def test_the_browser_refuses_a_page_of_another_origin_and_nobody_is_asked(
    browser: Browser, address: str
) -> None:
    tab = lenient(browser)
    elsewhere = address.replace("127.0.0.1", "localhost")
    with (
        chat_team.serving() as team,
        running("--origin", elsewhere, env=asking_at(team.base_url)) as proxy,
    ):
        with_pair(opened(tab, address))
        ask_server(tab, f"{proxy.address}/anthropic")
        outcome = tab.locator("#outcome")
        expect(outcome).to_contain_text("could not be reached", timeout=SOON_MS)
        expect(outcome).to_contain_text("meerkat-mob proxy --origin")
        proxy.stop()
    assert team.asked == []
    assert "OPTIONS /anthropic/v1/messages 403 " in proxy.log
    tab.context.close()


@pytest.mark.parametrize("dialect", EVERY)
def test_every_dialect_streams_through_it_piece_by_piece(
    python: Callable[[str], str], address: str, dialect: DialectName
) -> None:
    with (
        model_server.serving(cors=True, told=events_in(dialect)) as server,
        running("--origin", address, env=asking_at(server.address)) as proxy,
    ):
        told = json.loads(
            python(f"{ASK}await ask({proxy.address + BASES[dialect]!r}, {server.address!r})")
        )
    assert told == {"dialect": dialect, "text": HELLO, "error": None}
    names = ("authorization", "x-api-key", "x-goog-api-key")
    assert {server.headers.get(name) for name in names} & {KEY, f"Bearer {KEY}"}
    assert "anthropic-dangerous-direct-browser-access" not in server.headers
    assert "origin" not in server.headers


def test_a_page_reads_why_the_proxy_cannot_ask(python: Callable[[str], str], address: str) -> None:
    with running("--origin", address, env={}) as proxy:
        told = json.loads(python(f"{ASK}await ask({proxy.address + '/gemini'!r}, '')"))
    assert told["text"] == ""
    assert "the proxy has no key for gemini" in told["error"]
    assert "GEMINI_API_KEY" in told["error"]
