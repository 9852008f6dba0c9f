"""The tools an agent can call: one set, seen by the model and dispatched from.

What is visible is what can be dispatched (INV-8): a call to anything else is answered with
``tool_not_found`` and reaches no code. A tool never raises into the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import msgspec

from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, tool_error
from meerkat_mob.errors import CallbackPending, InvalidParams, MeerkatError, ToolFailed


class ToolSet:
    """Tools by name. Two tools of one name are a fault of whoever composed the set."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            name = tool.definition.name
            if name in self._tools:
                raise InvalidParams(
                    what=f"two tools are named {name!r}", path="tools", hint="rename one of them"
                )
            self._tools[name] = tool
        self.definitions: tuple[ToolDef, ...] = tuple(t.definition for t in self._tools.values())
        self._size: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in order."""
        return tuple(self._tools)

    @property
    def size(self) -> int:
        """The bytes of what the model is told of them."""
        if self._size is None:
            self._size = len(msgspec.json.encode(self.definitions))
        return self._size

    async def dispatch(self, call: ToolCall) -> ToolOutcome:
        """Runs one call. Everything that goes wrong is an outcome, except that we are cancelled.

        Raises ``CallbackPending`` for a call that somebody else runs.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return tool_error("tool_not_found", f"no tool {call.name!r}; there are: {known}")
        try:
            outcome = await tool.execute(call)
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            return tool_error("cancelled", "the tool was cancelled from inside")
        except CallbackPending:
            raise
        except InvalidParams as fault:
            return tool_error("invalid_arguments", str(fault))
        except ToolFailed as fault:
            return tool_error("tool_error", str(fault))
        except MeerkatError as fault:
            return tool_error("execution_failed", str(fault), reason=fault.code.lower())
        except Exception as fault:  # a tool's bug must not end the run
            return tool_error("execution_failed", f"{type(fault).__name__}: {fault}")
        wrong = _fault_of(outcome)
        return outcome if wrong is None else tool_error("execution_failed", wrong)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fault_of(outcome: object) -> str | None:
    """Why a transcript cannot hold what a tool returned; None when it can."""
    if not isinstance(outcome, ToolOutcome):
        return f"the tool returned a {type(outcome).__name__}, not a ToolOutcome"
    content: object = outcome.content
    if isinstance(content, str) and content.isascii():
        return None
    if not isinstance(content, str) and not _is_blocks(content):
        return "a tool's result is a text, or a tuple of text and image blocks"
    try:
        msgspec.json.encode(content)
    except ValueError as fault:
        return f"the tool's result cannot be stored: {fault}"
    return None


def _is_blocks(content: object) -> bool:
    return isinstance(content, tuple) and all(
        isinstance(block, TextBlock | ImageBlock) for block in cast("tuple[object, ...]", content)
    )
