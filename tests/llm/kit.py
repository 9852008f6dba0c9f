"""Short ways to ask a client, and to write down a transcript. No tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantMessage,
    AssistantText,
    Message,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import (
    Assembled,
    Assembler,
    LlmClient,
    LlmDone,
    LlmEvent,
    LlmRequest,
)


def user(text: str) -> UserMessage:
    return UserMessage(content=text)


def said(text: str = "", *uses: ToolUse) -> AssistantMessage:
    blocks: tuple[AssistantBlock, ...] = (AssistantText(data=TextData(text=text)),) if text else ()
    return AssistantMessage(blocks=(*blocks, *uses), stop_reason="tool_use" if uses else "end_turn")


def use(call_id: str, name: str, /, **args: Json) -> ToolUse:
    return ToolUse(data=ToolUseData(id=call_id, name=name, args=encode_arguments(args)))


def results(by_id: Mapping[str, str], *, is_error: bool = False) -> ToolResults:
    return ToolResults(
        results=tuple(
            ToolResult(tool_use_id=k, content=v, is_error=is_error) for k, v in by_id.items()
        )
    )


def tool(name: str) -> ToolDef:
    return ToolDef(name=name, description=f"does {name}", input_schema={"type": "object"})


def asking(
    *messages: Message | str,
    tools: Sequence[str] = (),
    speaker: str = "",
    model: str = "some-model",
) -> LlmRequest:
    return LlmRequest(
        model=model,
        messages=tuple(user(m) if isinstance(m, str) else m for m in messages),
        tools=tuple(tool(name) for name in tools),
        speaker=speaker,
    )


async def events_of(stream: AsyncGenerator[LlmEvent, None]) -> list[LlmEvent]:
    return [event async for event in stream]


async def answer_of(client: LlmClient, request: LlmRequest) -> Assembled:
    """The whole answer; raises what it ended with."""
    assembler = Assembler()
    for event in await events_of(client.stream(request)):
        assembler.feed(event)
    return assembler.finish()


async def failure_of(client: LlmClient, request: LlmRequest) -> LlmFailed:
    """The error that a call ends with."""
    last = (await events_of(client.stream(request)))[-1]
    assert isinstance(last, LlmDone)
    assert last.error is not None
    return last.error


def text_in(answer: Assembled) -> str:
    return "".join(b.data.text for b in answer.blocks if isinstance(b, AssistantText))


def calls_in(answer: Assembled) -> list[tuple[str, str]]:
    return [
        (b.data.name, bytes(b.data.args).decode()) for b in answer.blocks if isinstance(b, ToolUse)
    ]
