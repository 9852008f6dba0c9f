"""Skills in an agent: a line in the prompt, the text when it is asked for."""

from __future__ import annotations

import msgspec
import pytest

from meerkat_mob import open_realm
from meerkat_mob.agent import ToolSet, load_skill_tool, skill_catalogue
from meerkat_mob.core.events import SkillResolutionFailed, SkillsResolved
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import InvalidParams, SkillNotFound
from meerkat_mob.llm import ScriptedLlm, call
from tests.agent.kit import a_bench

TIDES = Skill(
    name="tides",
    description="When to sail.\nAnd when not.",
    body="Wait for high water.",
    files={"references/table.md": "high, low", "scripts/when.py": "print(6)"},
)
WINDS = Skill(name="winds", description="Where to sail", body="Away from the wind.")


async def ask(arguments: Json) -> ToolOutcome:
    asked = ToolCall(id="1", name="load_skill", args=msgspec.Raw(msgspec.json.encode(arguments)))
    return await ToolSet([load_skill_tool([TIDES, WINDS])]).dispatch(asked)


async def refused(arguments: Json) -> str:
    outcome = await ask(arguments)
    assert outcome.is_error
    body = msgspec.json.decode(str(outcome.content), type=dict[str, str])
    assert body["error"] == "invalid_arguments"
    return body["message"]


def test_the_catalogue_has_a_line_for_each_skill_and_no_text_of_it() -> None:
    text = skill_catalogue([TIDES, WINDS])
    assert text.endswith("\n- tides: When to sail. And when not.\n- winds: Where to sail")
    assert "load_skill" in text
    assert "high water" not in text


async def test_a_skill_is_its_text_and_the_list_of_its_files() -> None:
    outcome = await ask({"name": "tides"})
    assert not outcome.is_error
    text = str(outcome.content)
    assert text.startswith("Wait for high water.\n\n")
    assert text.endswith("\n- references/table.md\n- scripts/when.py")


async def test_a_skill_without_files_is_its_text() -> None:
    assert await ask({"name": "winds"}) == ToolOutcome(content="Away from the wind.")


async def test_a_file_of_a_skill_is_read_by_its_path() -> None:
    for path in ("references/table.md", "./references/table.md"):
        outcome = await ask({"name": "tides", "file": path})
        assert outcome == ToolOutcome(content="high, low")


async def test_an_unknown_skill_is_an_error_with_the_nearest_one() -> None:
    assert await refused({"name": "tide"}) == (
        "no skill 'tide'; did you mean 'tides'? there are: tides, winds"
    )
    assert await refused({"name": "quite another"}) == (
        "no skill 'quite another'; there are: tides, winds"
    )


async def test_nothing_but_the_files_of_a_skill_is_read() -> None:
    near = await refused({"name": "tides", "file": "references/tables.md"})
    assert "did you mean 'references/table.md'?" in near
    for path in ("../winds/SKILL.md", "/etc/passwd", "references/../../x", "", "."):
        told = await refused({"name": "tides", "file": path})
        assert told.startswith(f"no file {path!r}")
    assert await refused({"name": "winds", "file": "x"}) == "no file 'x'; there are: none"


async def test_arguments_that_do_not_fit_are_an_error_with_their_place() -> None:
    assert "load_skill.nmae: unknown key 'nmae'; did you mean 'name'?" in await refused(
        {"nmae": "tides"}
    )
    assert "load_skill.file" in await refused({"name": "tides", "file": 3})


async def test_the_text_enters_the_transcript_as_a_result_and_only_there() -> None:
    asks = call("load_skill", name="winds")
    bench = a_bench([asks, "We sail."], skills=[TIDES, WINDS])
    await bench.agent.run("Where to?")
    assert [r.content for r in bench.results] == ["Away from the wind."]
    stored = msgspec.json.encode([*bench.transcript.view()])
    assert stored.count(b"Away from the wind.") == 1
    assert b"high water" not in stored


# -- runs that are referred to skills ----------------------------------------------------------


async def test_a_run_that_is_referred_to_a_skill_has_its_text_and_no_other_run_has() -> None:
    llm = ScriptedLlm([call("load_skill", name="winds"), "At six.", "Hm."])
    bench = a_bench(llm, skills=[TIDES, WINDS])
    await bench.agent.run("When?", skills=["tides", "tides"])
    await bench.agent.run("And now?")
    told = [request.system_prompt for request in llm.requests]
    assert told[0] == told[1]
    assert told[0].startswith("# Skill tides\n\nWait for high water.")
    assert "references/table.md" in told[0]
    assert told[2] == ""
    (resolved,) = [e for e in bench.said if isinstance(e, SkillsResolved)]
    assert resolved == SkillsResolved(skills=("tides",), injection_bytes=len(told[0].encode()))
    assert b"high water" not in msgspec.json.encode([*bench.transcript.view()])


async def test_a_run_is_not_begun_for_a_skill_that_is_not_there() -> None:
    bench = a_bench([], skills=[TIDES])
    with pytest.raises(SkillNotFound, match=r"no skill 'ties': .* tides") as failed:
        await bench.agent.run("When?", skills=["tides", "ties"])
    assert failed.value.code == "SKILL_NOT_FOUND"
    assert bench.said == [SkillResolutionFailed(reference="ties", error=str(failed.value))]
    assert len(bench.transcript) == 0


def test_two_skills_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParams, match="two skills are named 'tides'"):
        a_bench([], skills=[TIDES, TIDES])


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_session_hands_its_runs_the_skills_they_name(at_once: bool) -> None:
    llm = ScriptedLlm(["One.", "Two.", "Three."])
    async with open_realm(llm=llm) as realm:
        build = SessionBuildOptions(skills=(TIDES,))
        referred = ("tides",) if at_once else ()
        request = CreateSessionRequest(
            model="m", prompt="a", build=build, skill_references=referred
        )
        session = (await realm.sessions.create_session(request)).session_id
        await realm.sessions.start_turn(session, StartTurnRequest(prompt="b"))
        unknown = StartTurnRequest(prompt="c", skill_references=("ties",))
        with pytest.raises(SkillNotFound):
            await realm.sessions.start_turn(session, unknown)
        again = StartTurnRequest(prompt="d", skill_references=("tides",))
        await realm.sessions.start_turn(session, again)
        assert ["high water" in r.system_prompt for r in llm.requests] == [at_once, False, True]
        history = await realm.sessions.read_history(session)
    assert "c" not in [text_of_message(message) for message in history.messages]
