"""What the hooks of a run see of it, and what becomes of what they say.

Patches are taken before a message is stored, so the transcript holds what happened: the arguments
a tool was run with, and the text that was let through.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UNSET

from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, has_media, text_of
from meerkat_mob.core.hooks import (
    AssistantTextPatch,
    Deny,
    HookCall,
    HookLlmRequest,
    HookLlmResponse,
    HookPatch,
    HookPoint,
    HookToolCall,
    HookToolResult,
    LlmRequestPatch,
    RunResultPatch,
    ToolArgsPatch,
    ToolResultPatch,
)
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    TextData,
    ToolUseData,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.tools import ToolOutcome
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import HookDenied


class Guard:
    """The hooks of one agent, at the points of its runs. Raises ``HookDenied`` where it says so."""

    def __init__(self, hooks: Hooks, session_id: str) -> None:
        self._hooks, self._session_id = hooks, session_id
        self.turn = 0
        """The number of the turn that goes on."""

    def _call(self, point: HookPoint) -> HookCall:
        return HookCall(point=point, session_id=self._session_id, turn_number=self.turn)

    async def begin(self, prompt: Content) -> None:
        """A run has begun. Raises ``HookDenied``."""
        self.turn = 0
        if self._hooks.has("run_started"):
            await self._insist(msgspec.structs.replace(self._call("run_started"), prompt=prompt))

    async def request(self, asked: HookLlmRequest) -> HookLlmRequest:
        """The model is about to be asked, with what comes back. Raises ``HookDenied``."""
        if not self._hooks.has("pre_llm_request"):
            return asked
        call = msgspec.structs.replace(self._call("pre_llm_request"), llm_request=asked)

        def apply(patch: HookPatch) -> HookCall:
            nonlocal asked, call
            if isinstance(patch, LlmRequestPatch):
                asked = msgspec.structs.replace(asked, **_said(patch))
                call = msgspec.structs.replace(call, llm_request=asked)
            return call

        denied = await self._hooks.ask(call, apply)
        _raise(call.point, denied)
        return asked

    async def answer(self, answer: AssistantMessage, usage: Usage) -> AssistantMessage:
        """The model has answered; what comes back is what it said. Raises ``HookDenied``."""
        if not self._hooks.has("post_llm_response"):
            return answer

        def told() -> HookCall:
            response = HookLlmResponse(
                text=text_of_message(answer),
                tool_call_names=tuple([use.name for use in tool_uses(answer)]),
                stop_reason=answer.stop_reason,
                usage=usage,
            )
            return msgspec.structs.replace(self._call("post_llm_response"), llm_response=response)

        def apply(patch: HookPatch) -> HookCall:
            nonlocal answer
            if isinstance(patch, AssistantTextPatch):
                answer = with_text(answer, patch.text)
            return told()

        denied = await self._hooks.ask(told(), apply)
        _raise("post_llm_response", denied)
        return answer

    async def calls(
        self, answer: AssistantMessage
    ) -> tuple[AssistantMessage, dict[str, ToolOutcome]]:
        """The answer with the arguments its tools will have, and the calls that are denied."""
        uses = tool_uses(answer)
        if not uses or not self._hooks.has("pre_tool_execution"):
            return answer, {}
        found = await asyncio.gather(*(self._one_call(use) for use in uses))
        denied = {use.id: _denied(no) for use, no in found if no is not None}
        changed = {use.id: use for use, _ in found}
        blocks = tuple(
            msgspec.structs.replace(block, data=changed[block.data.id])
            if isinstance(block.data, ToolUseData)
            else block
            for block in answer.blocks
        )
        return msgspec.structs.replace(answer, blocks=blocks), denied

    async def _one_call(self, use: ToolUseData) -> tuple[ToolUseData, Deny | None]:
        def told() -> HookCall:
            args = msgspec.json.decode(use.args)
            shown = HookToolCall(id=use.id, name=use.name, args=args)
            return msgspec.structs.replace(self._call("pre_tool_execution"), tool_call=shown)

        def apply(patch: HookPatch) -> HookCall:
            nonlocal use
            if isinstance(patch, ToolArgsPatch):
                use = msgspec.structs.replace(use, args=encode_arguments(patch.args))
            return told()

        denied = await self._hooks.ask(told(), apply)
        return use, denied

    async def result(self, use: ToolUseData, outcome: ToolOutcome) -> ToolOutcome:
        """A tool has ended; what comes back is what the model reads of it."""
        if not self._hooks.has("post_tool_execution"):
            return outcome

        def told() -> HookCall:
            shown = HookToolResult(
                tool_use_id=use.id,
                name=use.name,
                content=text_of(outcome.content),
                is_error=outcome.is_error,
                has_images=has_media(outcome.content),
            )
            return msgspec.structs.replace(self._call("post_tool_execution"), tool_result=shown)

        def apply(patch: HookPatch) -> HookCall:
            nonlocal outcome
            if isinstance(patch, ToolResultPatch):
                outcome = _with_result(outcome, patch)
            return told()

        denied = await self._hooks.ask(told(), apply)
        return outcome if denied is None else _denied(denied)

    async def boundary(self) -> None:
        """A turn is over. Raises ``HookDenied``: then the next one does not start."""
        if self._hooks.has("turn_boundary"):
            await self._insist(self._call("turn_boundary"))

    async def finish(self, text: str) -> str:
        """The run would complete with this text; what comes back is its text. Raises as said."""
        if not self._hooks.has("run_completed"):
            return text

        def told() -> HookCall:
            return msgspec.structs.replace(self._call("run_completed"), text=text)

        def apply(patch: HookPatch) -> HookCall:
            nonlocal text
            if isinstance(patch, RunResultPatch):
                text = patch.text
            return told()

        denied = await self._hooks.ask(told(), apply)
        _raise("run_completed", denied)
        return text

    async def failed(self, error: str) -> None:
        """The run fails, whatever is said to that."""
        if self._hooks.has("run_failed"):
            await self._hooks.ask(msgspec.structs.replace(self._call("run_failed"), error=error))

    async def close(self) -> None:
        """Ends the hooks that are at work in the background. Idempotent."""
        await self._hooks.close()

    async def _insist(self, call: HookCall) -> None:
        denied = await self._hooks.ask(call)
        _raise(call.point, denied)


def with_text(answer: AssistantMessage, text: str) -> AssistantMessage:
    """The answer with this text in the place of all that it said."""
    first = next(
        (n for n, block in enumerate(answer.blocks) if isinstance(block, AssistantText)), 0
    )
    said = AssistantText(data=TextData(text=text))
    before = [b for b in answer.blocks[:first] if not isinstance(b, AssistantText)]
    behind = [b for b in answer.blocks[first:] if not isinstance(b, AssistantText)]
    return msgspec.structs.replace(answer, blocks=(*before, said, *behind))


def _with_result(outcome: ToolOutcome, patch: ToolResultPatch) -> ToolOutcome:
    content: Content = patch.content
    if not isinstance(outcome.content, str):
        images = [block for block in outcome.content if isinstance(block, ImageBlock)]
        if images:
            content = (TextBlock(text=patch.content), *images)
    is_error = outcome.is_error if patch.is_error is UNSET else patch.is_error
    return ToolOutcome(content=content, is_error=is_error)


def _said(patch: LlmRequestPatch) -> dict[str, object]:
    names = ("max_tokens", "temperature", "provider_params")
    return {n: getattr(patch, n) for n in names if getattr(patch, n) is not UNSET}


def _denied(denied: Deny) -> ToolOutcome:
    body = {
        "error": "hook_denied",
        "reason_code": denied.reason_code,
        "message": denied.message,
        **({} if denied.payload is UNSET else {"payload": denied.payload}),
    }
    return ToolOutcome(content=msgspec.json.encode(body).decode(), is_error=True)


def _raise(point: HookPoint, denied: Deny | None) -> None:
    if denied is not None:
        raise HookDenied(point=point, reason_code=denied.reason_code, why=denied.message)
