"""Whatever becomes of a call, the model gets a result."""

import asyncio
from typing import Annotated, Any, cast

import msgspec
import pytest

from meerkat_mob.agent import ToolSet
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import InboxFull, InvalidParams
from meerkat_mob.testing.builders import (
    a_tool,
    a_tool_that_echoes,
    a_tool_that_fails,
    a_tool_that_hangs,
)


def a_call(name: str, args: bytes = b"{}") -> ToolCall:
    return ToolCall(id="call-1", name=name, args=msgspec.Raw(args))


async def told(tool: Tool, args: bytes = b"{}") -> dict[str, Json]:
    """The error body of the tool's outcome."""
    outcome = await ToolSet((tool,)).dispatch(a_call(tool.definition.name, args))
    assert outcome.is_error
    return cast("dict[str, Json]", msgspec.json.decode(cast("str", outcome.content)))


async def test_a_tool_s_outcome_is_given_back_as_it_is() -> None:
    outcome = await ToolSet((a_tool_that_echoes(),)).dispatch(a_call("echo", b'{"a":1}'))
    assert outcome == ToolOutcome(content='{"a":1}')


async def test_an_unknown_tool_reaches_no_code_and_lists_what_there_is() -> None:
    tools = ToolSet((a_tool_that_echoes("b"), a_tool_that_echoes("a")))
    outcome = await tools.dispatch(a_call("c"))
    assert outcome.is_error
    assert "no tool 'c'; there are: b, a" in str(outcome.content)
    assert "there are: none" in str((await ToolSet().dispatch(a_call("c"))).content)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("bad"), "execution_failed", "ValueError: bad"),
        (InvalidParams(what="no", path="x"), "invalid_arguments", "x: no"),
        (InboxFull(session_id="s", bound=3), "execution_failed", "the inbox of s"),
        (asyncio.CancelledError(), "cancelled", "from inside"),
        (ExceptionGroup("two", [ValueError("a")]), "execution_failed", "two"),
    ],
)
async def test_an_error_becomes_a_result_with_a_code(
    error: BaseException, code: str, words: str
) -> None:
    body = await told(a_tool_that_fails(error))
    assert body["error"] == code
    assert words in str(body["message"])


async def test_an_error_of_ours_tells_its_own_code_as_the_reason() -> None:
    body = await told(a_tool_that_fails(InboxFull(session_id="s", bound=3)))
    assert body["reason"] == "inbox_full"


VIDEO = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="AA==")


@pytest.mark.parametrize(
    "returned",
    [
        None,
        "text",
        ToolOutcome(content=cast("Any", None)),
        ToolOutcome(content=cast("Any", {"a": 1})),
        ToolOutcome(content=cast("Any", ("a",))),
        ToolOutcome(content="\ud800"),
        ToolOutcome(content=(TextBlock(text="\ud800"),)),
        ToolOutcome(content=(VIDEO,)),
    ],
)
async def test_what_a_transcript_cannot_hold_is_a_failed_call(returned: object) -> None:
    async def odd(one: ToolCall) -> ToolOutcome:
        return cast("ToolOutcome", returned)

    assert (await told(a_tool("odd", odd)))["error"] == "execution_failed"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "plain",
        "größer",
        (),
        (TextBlock(text="ü"), ImageBlock(media_type="image/png", source="inline", data="AA==")),
    ],
)
async def test_texts_and_blocks_pass(content: str | tuple[TextBlock | ImageBlock, ...]) -> None:
    async def give(one: ToolCall) -> ToolOutcome:
        return ToolOutcome(content=content)

    outcome = await ToolSet((a_tool("give", give),)).dispatch(a_call("give"))
    assert outcome == ToolOutcome(content=content)


async def test_a_cancelled_dispatch_raises_the_cancellation() -> None:
    tools = ToolSet((a_tool_that_hangs(),))
    task = asyncio.create_task(tools.dispatch(a_call("hang")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParams, match="two tools are named 'echo'"):
        ToolSet((a_tool_that_echoes(), a_tool_that_echoes()))


# -- tools from a struct -----------------------------------------------------------------------


class Order(msgspec.Struct, frozen=True, kw_only=True):
    dish: Annotated[str, msgspec.Meta(description="What to cook.")]
    guests: Annotated[int, msgspec.Meta(ge=1)] = 1
    notes: Annotated[tuple[str, ...], msgspec.Meta(description="What to mind.")] = ()


async def cook(order: Order) -> Json:
    return {"cooked": order.dish, "for": order.guests, "notes": list(order.notes)}


KITCHEN = typed_tool("cook", "Cooks.", Order, cook)


async def test_a_typed_tool_gets_its_struct_and_gives_json() -> None:
    outcome = await ToolSet((KITCHEN,)).dispatch(a_call("cook", b'{"dish":"leek","notes":["hot"]}'))
    assert outcome == ToolOutcome(content='{"cooked":"leek","for":1,"notes":["hot"]}')


async def test_a_typed_tool_names_every_fault_and_the_nearest_key() -> None:
    body = await told(KITCHEN, b'{"dihs":"leek","guests":0,"notes":"hot"}')
    assert body["error"] == "invalid_arguments"
    message = str(body["message"])
    assert "cook.dihs: unknown key 'dihs'; did you mean 'dish'?" in message
    for place in ("cook.dish", "cook.guests", "cook.notes"):
        assert f"{place}: " in message


def test_a_typed_tool_s_schema_is_what_its_struct_says() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(KITCHEN.definition.input_schema))
    assert sent == {
        "type": "object",
        "properties": {
            "dish": {"type": "string", "description": "What to cook."},
            "guests": {"type": "integer", "minimum": 1, "default": 1},
            "notes": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What to mind.",
                "default": [],
            },
        },
        "required": ["dish"],
    }
