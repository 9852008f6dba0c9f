"""A member is told of its skills in a line each, and reads them when it needs them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from meerkat_mob import open_realm
from meerkat_mob.errors import DefinitionInvalid, SkillMissing
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.mob.definition import DirectorySkill, InlineSkill, MobDefinition, SkillSource
from tests.mob.teams import a_profile, a_team


def a_skill(name: str, body: str, **files: str) -> DirectorySkill:
    text = f"---\nname: {name}\ndescription: About {name}\n---\n{body}"
    return DirectorySkill(path=f"skills/{name}", files={"SKILL.md": text, **files})


def a_crew(*names: str, **skills: SkillSource) -> MobDefinition:
    return replace(a_team("pilot", profiles={"pilot": a_profile(skills=names)}), skills=skills)


CREW = a_crew(
    "tides",
    "manners",
    "winds",
    "tides",
    tides=a_skill("tides", "Wait for high water.", table="high, low"),
    winds=a_skill("winds", "Sail away from it."),
    manners=InlineSkill(content="Be polite."),
    fish=a_skill("fish", "Let them be."),
)


async def test_a_member_sees_a_line_of_each_of_its_skills_and_has_the_tool() -> None:
    with ScriptedLlm(["aye"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(CREW)
            await (await mob.spawn("pilot", "p")).ask("ready?")
    (request,) = llm.requests
    system = msgspec.json.encode(request.messages[0]).decode()
    assert system.count("- tides: About tides") == 1
    assert "- winds: About winds" in system
    assert "Be polite." in system
    for unread in ("high water", "away from it", "fish", "high, low"):
        assert unread not in system
    assert "load_skill" in [tool.name for tool in request.tools]


async def test_a_member_without_such_skills_has_neither() -> None:
    with ScriptedLlm(["aye"]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(
                a_crew("manners", manners=InlineSkill(content="Be polite."))
            )
            await (await mob.spawn("pilot", "p")).ask("ready?")
    assert "load_skill" not in msgspec.json.encode([*llm.requests[0].messages]).decode()
    assert "load_skill" not in [tool.name for tool in llm.requests[0].tools]


async def test_a_saved_transcript_holds_the_text_of_a_loaded_skill_once() -> None:
    asks = call("load_skill", name="tides")
    with ScriptedLlm([asks, "At noon.", "At noon, as I said."]) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(CREW)
            member = await mob.spawn("pilot", "p")
            await member.ask("When do we sail?")
            await member.ask("When?")
            entry = mob.members()[0]
            history = await realm.sessions.read_history(entry.session_id)
    saved = msgspec.json.encode(history.messages)
    assert saved.count(b"Wait for high water.") == 1
    assert b"Sail away from it." not in saved


async def test_a_skill_whose_folder_was_not_found_refuses_the_spawn() -> None:
    crew = a_crew("tides", tides=DirectorySkill(path="skills/tides", tried="/shelf/tides"))
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(crew)
        with pytest.raises(SkillMissing, match="/shelf/tides"):
            await mob.spawn("pilot", "p")
        assert mob.members() == ()


async def test_no_mob_is_made_with_a_faulty_skill() -> None:
    crew = a_crew("tides", tides=a_skill("Tides", ""))
    async with open_realm(llm=ScriptedLlm([])) as realm:
        with pytest.raises(DefinitionInvalid, match=r"SKILL\.md:line 2, column 7"):
            await realm.create_mob(crew)
