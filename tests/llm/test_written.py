"""A request of a long conversation is written as it would be without any memory of the last one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.messages import Message, SystemMessage, ToolResult, ToolResults, UserMessage
from meerkat_mob.core.transcript import View
from meerkat_mob.llm import LlmDone, LlmEvent, LlmRequest
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.written import MOST, Items, Written, with_items
from meerkat_mob.testing import a_service, a_session, a_turn
from tests.llm.every_dialect import EVERY
from tests.llm.kit import results, said, use, user
from tests.strategies import messages as any_message

MODELS: Mapping[DialectName, str] = {
    "anthropic": "claude-opus-4-6",
    "chat": "gpt-5.2",
    "gemini": "gemini-3-pro",
    "responses": "gpt-5.2",
}


def body(
    dialect: DialectName,
    messages: Sequence[Message],
    written: Written | None = None,
    *,
    blobs: Mapping[str, Blob] = NO_BLOBS,
    model: str | None = None,
) -> bytes:
    request = LlmRequest(
        model=model or MODELS[dialect], messages=messages, written=written, blobs=blobs
    )
    return DIALECTS[dialect].translation().body(request)


def a_turn_of(n: int) -> tuple[Message, ...]:
    return (user(f"go {n}"), said("", use(f"c{n}", "look")), results({f"c{n}": "x"}), said("done"))


@pytest.mark.parametrize("dialect", EVERY)
@given(
    history=st.lists(any_message, max_size=12),
    ends=st.lists(st.integers(0, 12), max_size=6),
)
@example(history=[user("a"), said("b"), user(""), said("c"), user("d")], ends=[2, 3, 4, 5])
@example(history=[SystemMessage(content="x"), said("b"), said(), user("d"), said("e")], ends=[2, 3])
def test_any_conversation_that_grows_and_shrinks_is_written_as_without_a_memory(
    dialect: DialectName, history: list[Message], ends: list[int]
) -> None:
    written = Written()
    for end in ends:
        told = View(history, min(end, len(history)))
        assert body(dialect, told, written) == body(dialect, told)


@pytest.mark.parametrize("dialect", EVERY)
@given(
    before=st.lists(any_message, max_size=6),
    after=st.lists(any_message, max_size=6),
    instead=st.lists(any_message, max_size=6),
)
def test_a_history_that_was_rewritten_is_written_anew(
    dialect: DialectName, before: list[Message], after: list[Message], instead: list[Message]
) -> None:
    written = Written()
    for told in ((*before, *after), (*before, *instead), (*instead, *after)):
        assert body(dialect, told, written) == body(dialect, told)


def test_only_what_is_new_is_translated() -> None:
    history = [one for n in range(50) for one in a_turn_of(n)]
    written, starts = Written(), list[int]()

    def translate(start: int) -> Items:
        starts.append(start)
        found = [{"n": n} for n in range(start, len(history))]
        return Items(items=found, before=(len(history) - 1, len(found) - 1))

    for _ in range(3):
        told = written.items(history, NO_BLOBS, ("some", "m"), translate)
        assert told == b",".join(b'{"n":%d}' % n for n in range(len(history)))
        history += a_turn_of(99)
    assert starts == [0, 199, 203]


@pytest.mark.parametrize("dialect", EVERY)
def test_another_model_is_told_all_in_its_own_way(dialect: DialectName) -> None:
    written, history = Written(), (*a_turn_of(1), *a_turn_of(2), user("x"))
    for model in ("gemini-3-pro", "gemini-2.5-pro", "gpt-5.2", "llama"):
        told = body(dialect, history, written, model=model)
        assert told == body(dialect, history, model=model)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("in_result", [False, True])
def test_an_image_that_comes_or_goes_is_shown_or_not(dialect: DialectName, in_result: bool) -> None:
    image = ImageBlock(media_type="image/png", source="blob", blob_id="b")
    shown = UserMessage(content=(image,))
    result = ToolResults(results=(ToolResult(tool_use_id="c1", content=(image,)),))
    history = (
        user("go"),
        said("", use("c1", "look")),
        *([result] if in_result else [results({"c1": "x"}), shown]),
        *a_turn_of(2),
        user("well?"),
    )
    there: Mapping[str, Blob] = {"b": Blob(media_type="image/png", data="QUJD")}
    written = Written()
    for blobs in (NO_BLOBS, there, there, {}, there):
        told = body(dialect, history, written, blobs=blobs)
        assert told == body(dialect, history, blobs=blobs)
        assert (b"QUJD" in told) is bool(blobs)


def test_of_a_very_long_conversation_only_the_beginning_is_kept() -> None:
    long = "x" * (MOST // 3)
    history: list[Message] = [one for _ in range(6) for one in (user(long), said("y"))]
    written = Written()
    for end in range(1, len(history) + 1):
        told = View(history, end)
        assert body("anthropic", told, written) == body("anthropic", told)


def test_a_body_may_have_nothing_but_a_conversation() -> None:
    assert with_items({}, "contents", b"") == b'{"contents":[]}'
    assert msgspec.json.decode(with_items({"a": 1}, "m", b"2,3")) == {"a": 1, "m": [2, 3]}


class Watched:
    """A client that keeps nothing, and knows whether what it was given still lives."""

    provider = "watched"

    def __init__(self) -> None:
        self.given: list[weakref.ref[Any]] = []

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        assert request.written is not None
        DIALECTS["chat"].translation().body(request)
        self.given.append(weakref.ref(request.written))
        yield LlmDone(stop_reason="end_turn")

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_the_memory_of_a_conversation_is_its_session_s_and_goes_with_it() -> None:
    client = Watched()
    service = a_service(client)
    one, other = await a_session(service), await a_session(service)
    for session in (one, other, one):
        await service.start_turn(session, a_turn("x"))
    first, second, again = (ref() for ref in client.given)
    assert first is again
    assert first is not second
    del first, second, again
    await service.archive(one)
    gc.collect()
    gone, stays, _ = (ref() is None for ref in client.given)
    assert (gone, stays) == (True, False)
    await service.aclose()
