"""The tools an agent can call: one set, seen by the model and dispatched from.

What is visible is what can be dispatched (INV-8): a call to anything else is answered with
``tool_not_found`` and reaches no code. A tool never raises into the run.
"""

from __future__ import annotations

from collections.abc import Iterable

from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, tool_error
from meerkat_mob.errors import InvalidParams, MeerkatError


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

    async def dispatch(self, call: ToolCall) -> ToolOutcome:
        """Runs one call. Everything that goes wrong is an outcome, except cancellation."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return tool_error("tool_not_found", f"no tool {call.name!r}; there are: {known}")
        try:
            return await tool.execute(call)
        except InvalidParams as fault:
            return tool_error("invalid_arguments", str(fault))
        except MeerkatError as fault:
            return tool_error("execution_failed", str(fault), reason=fault.code.lower())
        except Exception as fault:  # a tool's bug must not end the run
            return tool_error("execution_failed", f"{type(fault).__name__}: {fault}")
