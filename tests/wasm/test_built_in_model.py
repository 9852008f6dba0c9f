"""The browser's own model through JavaScript, played by ``language_model.js``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from meerkat_mob.core.messages import SystemMessage
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import BUILT_IN, LlmClient, LlmTextDelta, choose, open_client
from tests.llm.kit import answer_of, asking, calls_in, failure_of, said, text_in, user

pytestmark = pytest.mark.native_only

PLAYED = Path(__file__).with_name("language_model.js")


@pytest.fixture
def model() -> Iterator[Any]:
    """``LanguageModel`` of a browser that has one, until the end of the test."""
    import js
    from pyodide.code import run_js

    run_js("globalThis.self ??= globalThis;")
    run_js(PLAYED.read_text())
    yield js.LanguageModel
    run_js("delete globalThis.LanguageModel")


@pytest.fixture
def client() -> LlmClient:
    """As a team that names it gets it."""
    return open_client(choose(BUILT_IN))


def script(code: str) -> Any:
    from pyodide.code import run_js

    return run_js(f"LanguageModel.script = (system, said, now, form) => {{ {code} }}")


async def test_it_is_told_the_conversation_and_its_words_come_as_it_says_them(
    model: Any, client: LlmClient
) -> None:
    script("return 'It is in Bern.'")
    request = asking(SystemMessage(content="Be brief."), user("Hi"), said("Hello."), user("Where?"))
    async with aclosing(client.stream(request)) as events:
        pieces = [e.delta async for e in events if isinstance(e, LlmTextDelta)]
    assert pieces == ["It ", "is ", "in ", "Bern."]
    (asked,) = model.asked.to_py()
    assert asked["system"] == "Be brief."
    assert asked["said"] == [["user", "Hi"], ["assistant", "Hello."]]
    assert (asked["now"], asked["isHeld"]) == ("Where?", False)
    assert model.alive == 0


async def test_what_it_took_is_what_the_browser_counted(model: Any, client: LlmClient) -> None:
    answer = await answer_of(client, asking(SystemMessage(content="Be very brief."), "What now"))
    assert text_in(answer) == "You said: What now"
    assert answer.usage == Usage(input_tokens=5, output_tokens=4)


async def test_the_first_words_of_a_conversation_are_counted_too(
    model: Any, client: LlmClient
) -> None:
    answer = await answer_of(client, asking("What now"))
    assert answer.usage == Usage(input_tokens=2, output_tokens=4)


@pytest.mark.parametrize(
    "measure", ["undefined", "async () => undefined", "async () => { throw Error(); }"]
)
async def test_who_cannot_count_answers_all_the_same(
    model: Any, client: LlmClient, measure: str
) -> None:
    from pyodide.code import run_js

    run_js(f"LanguageModel.prototype.measureContextUsage = {measure}")
    answer = await answer_of(client, asking("What now"))
    assert (text_in(answer), answer.usage) == ("You said: What now", None)


async def test_a_browser_with_the_older_names_counts_too(model: Any, client: LlmClient) -> None:
    from pyodide.code import run_js

    run_js("""
      const create = LanguageModel.create;
      LanguageModel.create = async (options) => {
        const it = await create(options);
        return {
          get inputUsage() { return it.contextUsage; },
          measureInputUsage: (text) => it.measureContextUsage(text),
          promptStreaming: (...args) => it.promptStreaming(...args),
          destroy: () => it.destroy(),
        };
      }
    """)
    answer = await answer_of(client, asking("What now"))
    assert answer.usage == Usage(input_tokens=2, output_tokens=4)


async def test_calls_are_held_to_their_form(model: Any, client: LlmClient) -> None:
    script("""
      const {say, calls} = form.properties;
      const [name] = calls.items.properties.name.enum;
      return JSON.stringify({say: `a ${say.type}`, calls: [{name, arguments: {at: 1}}]});
    """)
    answer = await answer_of(client, asking("Look", tools=("look",)))
    assert (text_in(answer), calls_in(answer)) == ("a string", [("look", '{"at":1}')])


async def test_without_one_it_says_what_else_there_is(client: LlmClient) -> None:
    failed = await failure_of(client, asking("Hi"))
    assert (failed.reason, failed.retryable) == ("invalid_model", False)
    assert "offers no model of its own to this page" in str(failed)
    assert "ask a model server, or play offline" in str(failed)


async def test_one_that_does_not_run_here_is_explained(model: Any, client: LlmClient) -> None:
    model.state = "unavailable"
    failed = await failure_of(client, asking("Hi"))
    assert "does not run here" in str(failed)


async def test_a_conversation_too_long_for_it_is_known_as_that(
    model: Any, client: LlmClient
) -> None:
    model.quota = 3
    failed = await failure_of(client, asking(SystemMessage(content="one two three four"), "Hi"))
    assert failed.reason == "context_exceeded"
    assert "4 tokens, of 3" in str(failed)


@pytest.mark.parametrize(
    ("name", "told"),
    [("NotSupportedError", "cannot do this"), ("UnknownError", "broke off")],
)
async def test_what_it_throws_in_the_middle_ends_the_call(
    model: Any, client: LlmClient, name: str, told: str
) -> None:
    script(f"throw new DOMException('so it is', '{name}')")
    failed = await failure_of(client, asking("Hi"))
    assert told in str(failed)
    assert f"{name}: so it is" in str(failed)
    assert model.alive == 0


async def test_who_leaves_early_ends_its_thinking(model: Any, client: LlmClient) -> None:
    model.hanging = True
    async with aclosing(client.stream(asking("one two three"))) as events:
        first = await anext(events)
    assert first == LlmTextDelta(delta="You ")
    assert model.alive == 0


async def test_a_call_cancelled_while_the_model_loads_leaves_no_session(
    model: Any, client: LlmClient
) -> None:
    from pyodide.code import run_js

    go = run_js("let go; LanguageModel.slow = new Promise((done) => { go = done; }); go")
    asking_it = asyncio.ensure_future(answer_of(client, asking("Hi")))
    await asyncio.sleep(0.01)
    asking_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking_it
    go()
    for _ in range(200):
        await asyncio.sleep(0)
    assert model.alive == 0
    assert not model.asked.to_py()
