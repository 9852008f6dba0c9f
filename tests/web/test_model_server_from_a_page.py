"""The HTTP client in a real page: streamed over ``fetch``, under the browser's own rules (CORS)."""

import json
from collections.abc import Callable

import pytest

from meerkat_mob.llm.dialect import DialectName
from tests.llm.every_dialect import EVERY, HELLO, events_in
from tests.web.model_server import PATIENCE_S, serving

pytestmark = pytest.mark.loopback

ASK = """
import json
from contextlib import aclosing
from pyodide.http import pyfetch
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.llm.client import LlmDone, LlmRequest, LlmTextDelta
from meerkat_mob.llm.http import HttpLlm

async def ask(address, model, leave_early=False, **how):
    client = HttpLlm(address + ("" if how else "/v1"), **how)
    request = LlmRequest(model=model, messages=[UserMessage(content="count")])
    texts, error = [], None
    async with aclosing(client.stream(request)) as events:
        async for event in events:
            if isinstance(event, LlmTextDelta):
                texts.append(event.delta)
                if len(texts) == 1:
                    await pyfetch(address + "/seen")
                elif leave_early:
                    break
            if isinstance(event, LlmDone) and event.error is not None:
                error = str(event.error)
    await client.aclose()
    return json.dumps({"texts": texts, "error": error})

"""


def test_an_answer_arrives_piece_by_piece_while_the_server_is_still_speaking(
    python: Callable[[str], str],
) -> None:
    with serving(cors=True) as server:
        told = json.loads(python(f"{ASK}await ask({server.address!r}, 'm')"))
    assert told == {"texts": ["one, ", "two"], "error": None}
    (asked,) = server.asked
    assert (asked["model"], asked["stream"]) == ("m", True)


@pytest.mark.parametrize("dialect", EVERY)
def test_every_dialect_is_spoken_from_a_page(
    python: Callable[[str], str], dialect: DialectName
) -> None:
    with serving(cors=True, told=events_in(dialect)) as server:
        how = f"dialect={dialect!r}, api_key='k'"
        told = json.loads(python(f"{ASK}await ask({server.address!r}, 'm', **dict({how}))"))
    assert ("".join(told["texts"]), told["error"]) == (HELLO, None)
    headers = server.headers
    in_page = "anthropic-dangerous-direct-browser-access"
    assert headers.get(in_page) == ("true" if dialect == "anthropic" else None)
    keys = {headers.get(name) for name in ("authorization", "x-api-key", "x-goog-api-key")}
    assert keys & {"k", "Bearer k"}


def test_a_call_that_is_left_early_is_cut_off_on_the_wire(python: Callable[[str], str]) -> None:
    with serving(cors=True) as server:
        told = json.loads(python(f"{ASK}await ask({server.address!r}, 'endless', True)"))
        assert told["texts"][0] == "one, "
        assert server.hung_up.wait(PATIENCE_S), "the server still had a listener"


@pytest.mark.parametrize("dialect", EVERY)
def test_a_server_that_refuses_the_page_is_explained(
    python: Callable[[str], str], dialect: DialectName
) -> None:
    with serving(cors=False) as server:
        told = json.loads(python(f"{ASK}await ask({server.address!r}, 'm', dialect={dialect!r})"))
    assert told["texts"] == []
    assert "somebody is there, and does not let this page in (CORS)" in told["error"]
    assert server.address in told["error"]


@pytest.mark.parametrize("dialect", EVERY)
def test_a_server_that_is_not_there_is_explained(
    python: Callable[[str], str], dialect: DialectName
) -> None:
    with serving(cors=True) as server:
        gone = server.address
    told = json.loads(python(f"{ASK}await ask({gone!r}, 'm', dialect={dialect!r})"))
    assert told["texts"] == []
    assert "nothing answers there (" in told["error"]
    assert gone in told["error"]
