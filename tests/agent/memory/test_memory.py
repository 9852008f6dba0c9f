"""A member finds again what compaction took out of its history; also after a restart."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from meerkat_mob import CompactionPolicy, open_realm
from meerkat_mob.agent.memory import Memory, RankedIndex, entries_of, memory_search_tool
from meerkat_mob.agent.memory.memory import SHOWN, excerpt
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.compaction import Discarded
from meerkat_mob.core.content import text_of
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    SystemMessage,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from meerkat_mob.core.tools import ToolCall
from meerkat_mob.llm import LlmRequest, Reply, ScriptedLlm, call, say
from meerkat_mob.mob import Mob
from meerkat_mob.mob.definition import ToolConfig
from tests.mob.teams import a_profile, a_team

SHORT = CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=1)
TEAM = a_team("clerk", profiles={"clerk": a_profile(tools=ToolConfig(comms=True, memory=True))})
SEARCH = call("memory_search", query="the colour of the door")


def voice(request: LlmRequest) -> Reply | str:
    """It sums up, searches when it is asked for the door, and says what it is told."""
    last = request.messages[-1]
    if isinstance(last, ToolResults):
        found = msgspec.json.decode(text_of(last.results[0].content))["found"]
        return say(found[0]["text"] if found else "I do not know.")
    if isinstance(last, UserMessage) and "summary" in text_of(last.content):
        return "We talked."
    if isinstance(last, UserMessage) and "Which colour" in text_of(last.content):
        return SEARCH
    return "Noted."


async def talk(mob: Mob) -> None:
    for said in ("The door is painted green.", "It rains.", "It still rains.", "And again."):
        await mob.member("ann").ask(said)


async def test_a_member_finds_what_its_history_does_not_have_any_more() -> None:
    llm = ScriptedLlm(voice)
    async with open_realm(llm=llm, compaction=SHORT) as realm:
        mob = await realm.create_mob(TEAM)
        ann = await mob.spawn("clerk", "ann")
        await talk(mob)
        shown = msgspec.json.encode(llm.requests[-1].messages)
        assert b"green" not in shown
        assert await ann.ask("Which colour has the door?") == "The door is painted green."


async def test_a_member_that_has_lost_nothing_finds_nothing() -> None:
    async with open_realm(llm=ScriptedLlm(voice)) as realm:
        mob = await realm.create_mob(TEAM)
        ann = await mob.spawn("clerk", "ann")
        await talk(mob)
        assert await ann.ask("Which colour has the door?") == "I do not know."


def test_what_can_be_found_is_what_was_said() -> None:
    use = ToolUseData(id="1", name="look", args=msgspec.Raw(b'{"at":"the moon"}'))
    blocks = (AssistantText(data=TextData(text="I look.")), ToolUse(data=use))
    found = entries_of(
        [
            SystemMessage(content="Be brief."),
            UserMessage(content="Go."),
            AssistantMessage(blocks=blocks, stop_reason="tool_use"),
            ToolResults(results=(ToolResult(tool_use_id="1", content="cheese"),)),
            UserMessage(content="Go."),
            UserMessage(content=" "),
        ]
    )
    assert [(entry.role, entry.text) for entry in found] == [
        ("user", "Go."),
        ("assistant", "I look."),
        ("assistant", 'look {"at":"the moon"}'),
        ("tool", "cheese"),
    ]


def test_an_excerpt_is_around_the_word_that_was_looked_for() -> None:
    text = "x " * 1000 + "NEEDLE here" + " y" * 1000
    shown = excerpt(text, "needle")
    assert "NEEDLE" in shown
    assert (shown[0], shown[-1], len(shown)) == ("…", "…", SHOWN + 2)
    assert excerpt("short", "needle") == "short"
    assert excerpt("needle " + "x" * 2000, "needle").startswith("needle x")
    assert excerpt("x" * 2000 + " needle", "needle").endswith(" needle")


async def test_a_search_asks_for_what_is_new_and_only_then() -> None:
    asked: list[int] = []
    said = Discarded(at=5, messages=(UserMessage(content="the door is green"),))

    async def read(session_id: str, known: int) -> Discarded | None:
        assert session_id == "s"
        asked.append(known)
        return None if known == said.at else said

    memory = Memory(RankedIndex(), read)
    assert [len(await memory.search("s", "green", 5)) for _ in range(3)] == [1, 1, 1]
    assert asked == [0, 5, 5]


@pytest.mark.parametrize("query", ["", " ", "?!"])
async def test_a_search_without_a_word_is_refused(query: str) -> None:
    async def read(_: str, __: int) -> Discarded | None:
        return None

    tool = memory_search_tool(Memory(RankedIndex(), read), "s")
    raw = msgspec.Raw(msgspec.json.encode({"query": query}))
    outcome = await ToolSet([tool]).dispatch(ToolCall(id="1", name="memory_search", args=raw))
    told = cast("dict[str, Json]", msgspec.json.decode(str(outcome.content)))
    assert told["error"] == "invalid_arguments"
    assert "there is no word in it" in str(told["message"])
