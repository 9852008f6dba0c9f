"""An agent of its own for each test: a scripted model, tools, a transcript, and all it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from meerkat_mob.agent import Agent, AgentSpec, RetryPolicy
from meerkat_mob.core.events import AgentEvent, RunCompleted, RunFailed
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.messages import ToolResult, ToolResults, tool_uses
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.llm import LlmClient, Reply, ScriptedLlm
from meerkat_mob.testing.builders import a_clock, the_loop_s_clock


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """The parts around an agent; ``said`` grows with every event."""

    agent: Agent
    transcript: Transcript
    said: list[AgentEvent]

    @property
    def kinds(self) -> list[str]:
        """The events so far, by tag; deltas aside."""
        tags = [str(e.__struct_config__.tag) for e in self.said]
        return [tag for tag in tags if not tag.endswith("_delta")]

    @property
    def ends(self) -> list[AgentEvent]:
        """The terminal events so far."""
        return [e for e in self.said if isinstance(e, RunCompleted | RunFailed)]

    @property
    def results(self) -> list[ToolResult]:
        """All tool results of the transcript, in order."""
        return [r for m in self.transcript.view() if isinstance(m, ToolResults) for r in m.results]


def a_bench(
    script: LlmClient | Sequence[Reply | str],
    *tools: Tool,
    max_turns: int = 100,
    retry: RetryPolicy | None = None,
    clock: Callable[[], int] | None = None,
    context: RunContext | None = None,
    limits: Mapping[str, object] | None = None,
    hooks: Sequence[Hook] = (),
    toolboxes: Sequence[Toolbox] = (),
    skills: Sequence[Skill] = (),
) -> Bench:
    client = ScriptedLlm(script) if isinstance(script, Sequence) else script
    transcript, said = Transcript(), list[AgentEvent]()
    spec = AgentSpec(
        session_id="s", model="scripted", max_turns=max_turns, retry=retry or RetryPolicy()
    )
    agent = Agent(
        msgspec.structs.replace(spec, **(limits or {})),
        client=client,
        tools=tools,
        toolboxes=toolboxes,
        transcript=transcript,
        emit=said.append,
        clock=clock or a_clock(),
        context=context,
        hooks=hooks,
        skills=skills,
    )
    return Bench(agent=agent, transcript=transcript, said=said)


def in_loop_time() -> Callable[[], int]:
    """The clock for a bench whose durations are read."""
    return the_loop_s_clock


def open_calls(transcript: Transcript) -> list[str]:
    """Calls whose results are not the next message (INV-3)."""
    messages = transcript.view()
    found: list[str] = []
    for place, message in enumerate(messages):
        calls = [use.id for use in tool_uses(message)]
        after = messages[place + 1] if place + 1 < len(messages) else None
        answered = [r.tool_use_id for r in after.results] if isinstance(after, ToolResults) else []
        if calls != answered:
            found += calls
    return found
