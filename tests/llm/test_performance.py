"""Performances: what a file may say, how its faults are told, and how it is played."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meerkat_mob.core.messages import Message
from meerkat_mob.errors import DefinitionInvalid, DefinitionUnreadable, ScriptError
from meerkat_mob.llm import (
    Assembled,
    LlmRequest,
    PerformanceLlm,
    load_performance,
    parse_performance,
)
from meerkat_mob.mob import open_realm, spawn_team
from meerkat_mob.mob.definition import parse_definition
from tests.llm.kit import answer_of, asking, calls_in, failure_of, results, said, text_in, use


def playing(text: str, *, pace_ms: int | None = None) -> PerformanceLlm:
    return PerformanceLlm(parse_performance(text), pace_ms=pace_ms)


def as_lead(*messages: Message | str) -> LlmRequest:
    return asking(*messages, speaker="m/boss/lead")


async def told(llm: PerformanceLlm, *messages: Message | str) -> str:
    return text_in(await answer_of(llm, as_lead(*messages)))


def faults_of(text: str) -> list[tuple[str, str | None, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_performance(text)
    return [(d.code, d.location, d.message) for d in caught.value.diagnostics]


# -- playing -------------------------------------------------------------------------------------


async def test_the_first_line_that_fits_is_spoken_and_then_spent() -> None:
    llm = playing("""
        [[line]]
        when = "cat"
        say = "meow"
        [[line]]
        say = "anything"
        [[line]]
        repeat = true
        say = "again"
    """)
    said_now = [await told(llm, text) for text in ("a cat", "a cat", "a cat", "a cat")]
    assert said_now[0] == "meow"
    history: list[Message | str] = ["a cat", said("meow"), "a dog"]
    assert await told(llm, *history) == "anything"
    assert await told(llm, *history, said("anything"), "more") == "again"
    assert await told(llm, *history, said("anything"), "more", said("again"), "still") == "again"


async def test_a_call_that_is_made_again_hears_the_same_line() -> None:
    """A model call that failed is repeated with the same transcript; no line is lost by it."""
    llm = playing('[[line]]\nsay = "one"\n[[line]]\nsay = "two"')
    assert [await told(llm, "go"), await told(llm, "go")] == ["one", "one"]
    assert await told(llm, "go", said("one"), "go") == "two"


async def test_lines_belong_to_a_member_a_profile_or_anybody() -> None:
    llm = playing("""
        [[line]]
        member = "lead"
        say = "lead here"
        [[line]]
        profile = "dev"
        say = "a dev here"
        [[line]]
        say = "somebody here"
    """)
    speakers = ("m/dev/a", "m/dev/b", "m/boss/lead", "m/ops/c", "")
    spoken = [text_in(await answer_of(llm, asking("hi", speaker=one))) for one in speakers]
    assert spoken == ["a dev here"] * 2 + ["lead here"] + ["somebody here"] * 2


async def test_a_line_waits_for_everything_it_needs() -> None:
    llm = playing("""
        [[line]]
        needs = ["from m/dev/a", "from m/dev/b"]
        say = "all have answered"
        [[line]]
        repeat = true
        say = "waiting"
    """)
    a, b = "[COMMS MESSAGE from m/dev/a]\nyes", "[COMMS MESSAGE from m/dev/b]\nyes"
    assert await told(llm, "go") == "waiting"
    assert await told(llm, "go", said("waiting"), b) == "waiting"
    assert await told(llm, "go", said("waiting"), b, said("waiting"), a) == "all have answered"
    assert await told(playing('[[line]]\nneeds=["a","b"]\nsay="x"'), "a", "b") == "x"


async def test_what_came_in_together_is_matched_together() -> None:
    llm = playing('[[line]]\nwhen = "(?s)one.*two"\nsay = "both"')
    assert await told(llm, "old", said("x"), "one", "two") == "both"


STEPS = r"""
    [[line]]
    member = "lead"
    when = '(?P<what>\w+) is (?P<how>\w+)( now)?(?P<more>!)?'

    [[line.step]]
    say = "Putting {{ what }} on the board."
    [[line.step.call]]
    tool = "mob_task_create"
    args = { subject = "{{ what }}: {{ how }}{{ more }}" }
    [[line.step.call]]
    tool = "mob_task_create"
    args = { subject = "tell", blocked_by = ["x"] }

    [[line.step]]
    [[line.step.call]]
    tool = "mob_task_update"
    args = { task_id = "{{ mob_task_create.1.task_id }}", deep = ["{{ mob_task_create.0.n }}"] }
    [[line.step.call]]
    tool = "send_message"
    args = { to = "dev", body = "n={{ mob_task_create.0.n }} {{ mob_task_create.0.list.1.x }}" }
"""


async def test_steps_follow_the_results_of_tools_and_fill_in_what_they_brought() -> None:
    llm = playing(STEPS)
    first = await answer_of(llm, as_lead("checkout is down"))
    assert text_in(first) == "Putting checkout on the board."
    assert calls_in(first) == [
        ("mob_task_create", '{"subject":"checkout: down"}'),
        ("mob_task_create", '{"blocked_by":["x"],"subject":"tell"}'),
    ]
    one = said("", use("1", "mob_task_create"), use("2", "mob_task_create"))
    made = results({"1": '{"n":3,"list":[0,{"x":true}]}', "2": '{"task_id":"t-2"}'})
    second = await answer_of(llm, as_lead("checkout is down", one, made))
    assert calls_in(second) == [
        ("mob_task_update", '{"deep":[3],"task_id":"t-2"}'),
        ("send_message", '{"body":"n=3 true","to":"dev"}'),
    ]
    two = said("", use("3", "mob_task_update"), use("4", "send_message"))
    last = await answer_of(
        llm, as_lead("checkout is down", one, made, two, results({"3": "{}", "4": "{}"}))
    )
    assert (last.blocks, last.stop_reason) == ((), "end_turn")


async def test_a_run_found_in_the_middle_goes_on_where_it_stood() -> None:
    """After a restart nothing but the transcript is left."""
    one = said("", use("1", "mob_task_create"), use("2", "mob_task_create"))
    made = results({"1": '{"n":3,"list":[0,{"x":1}]}', "2": '{"task_id":"t-2"}'})
    second = await answer_of(playing(STEPS), as_lead("checkout is down", one, made))
    assert [name for name, _ in calls_in(second)] == ["mob_task_update", "send_message"]


async def test_then_is_what_follows_the_last_results() -> None:
    llm = playing("""
        [[line]]
        say = "asking"
        call = [{ tool = "peers" }]
        then = "They said {{ peers.0 }}"
    """)
    assert await told(llm, "go") == "asking"
    done = await told(llm, "go", said("asking", use("1", "peers")), results({"1": "nobody"}))
    assert done == "They said nobody"


async def test_a_place_that_cannot_be_filled_names_the_line_and_the_result() -> None:
    llm = playing("""
        [[line]]
        call = [{ tool = "peers" }]
        then = "{{ peers.0.peers.0.name }}"
    """)
    await told(llm, "go")
    for answer in ("no json", '{"peers":[]}', '{"peers":3}'):
        error = await failure_of(
            llm, as_lead("go", said("", use("1", "peers")), results({"1": answer}))
        )
        assert isinstance(error, ScriptError)
        assert "line[0]: {{ peers.0.peers.0.name }} is not in the result" in str(error)
        assert answer in str(error)


async def test_a_member_without_a_line_is_named_with_what_it_was_given() -> None:
    llm = PerformanceLlm(
        parse_performance('[[line]]\nmember = "lead"\nsay = "x"'), source="pack/performance.toml"
    )
    error = await failure_of(llm, asking("x" * 900, speaker="m/dev/a"))
    for word in ("pack/performance.toml", "m/dev/a", "'xxx", "repeat = true"):
        assert word in str(error)
    assert len(str(error)) < 700


async def test_a_line_that_fits_and_is_spent_is_pointed_at() -> None:
    llm = playing('[[line]]\nmember = "lead"\nsay = "x"')
    await told(llm, "go")
    error = await failure_of(llm, as_lead("go", said("x"), "go"))
    assert "line[0] fits, and is spent" in str(error)


@pytest.mark.virtual_only
@pytest.mark.parametrize(("pace_ms", "seconds"), [(None, 0.5 * 3), (0, 0), (2000, 6)])
async def test_the_pace_is_the_files_unless_the_caller_says_otherwise(
    pace_ms: int | None, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await told(playing('pace_ms = 500\n[[line]]\nsay = "a b c"', pace_ms=pace_ms), "go")
    assert loop.time() - began == seconds


# -- files ---------------------------------------------------------------------------------------


def test_a_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "performance.toml"
    file.write_bytes(b'\xef\xbb\xbf[[line]]\nsay = "x"\n')
    assert load_performance(file) == parse_performance('[[line]]\nsay = "x"')


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionUnreadable, match=r"nowhere\.toml"):
        load_performance(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionUnreadable, match=r"bad\.toml"):
        load_performance(tmp_path / "bad.toml")


def test_every_unknown_key_is_told_with_its_place_and_the_nearest_name() -> None:
    found = faults_of('pase_ms = 1\n[[line]]\nsay = "x"\n[[line]]\nmemer = "a"\nsay = "y"')
    assert [(code, where) for code, where, _ in found] == [
        ("unknown_field", "pase_ms"),
        ("unknown_field", "line[1].memer"),
    ]
    assert "'pace_ms'" in found[0][2]
    assert "'member'" in found[1][2]


@pytest.mark.parametrize(
    ("text", "code", "where", "message"),
    [
        ("line = 3", "invalid_value", "line", "a list"),
        ("", "missing_field", "line", "line"),
        ("line = []", "invalid_value", "line", "nobody says anything"),
        ("pace_ms = -1\n[[line]]\nsay='x'", "invalid_value", "pace_ms", "at least 0"),
        ("[[line]]\nwhen='('\nsay='x'", "invalid_pattern", "line[0].when", "position 0"),
        ("[[line]]\nneeds=['a','[']\nsay='x'", "invalid_pattern", "line[0].needs[1]", "'['"),
        ("[[line]]\nwhen='x'", "invalid_value", "line[0]", "says nothing"),
        ("[[line]]\nsay='x'\nstep=[{say='y'}]", "invalid_value", "line[0]", "first step"),
        ("[[line]]\nstep=[{say='y'},{say='z'}]", "invalid_value", "line[0].step[0]", "ends"),
        ("[[line]]\nstep=[{call=[{tool='f'}]},{}]", "invalid_value", "line[0].step[1]", "says"),
        ("[[line]]\nsay='x'\nthen='y'", "invalid_value", "line[0].then", "no effect"),
        ("[[line]]\ncall=[{tool=''}]", "invalid_value", "line[0].call[0].tool", "empty"),
        ("[[line]]\nsay='{{ who }}'", "invalid_template", "line[0]", "no group of that name"),
        ("[[line]]\nsay='{{ a b }}'", "invalid_template", "line[0]", "neither a name"),
        (
            "[[line]]\ncall=[{tool='f',args={a=['{{ f.0.x }}']}}]",
            "invalid_template",
            "line[0]",
            "called 0 times",
        ),
        (
            "[[line]]\ncall=[{tool='f'}]\nthen='{{ f.1.x }}'",
            "invalid_template",
            "line[0].then",
            "called 1 time before",
        ),
        (
            "[[line]]\nstep=[{call=[{tool='f'}]},{say='{{ g.0 }}'}]",
            "invalid_template",
            "line[0].step[1]",
            "'g' is called 0 times",
        ),
    ],
)
def test_a_fault_has_a_code_a_place_and_a_word_about_it(
    text: str, code: str, where: str, message: str
) -> None:
    ((found_code, found_where, found_message),) = faults_of(text)
    assert (found_code, found_where) == (code, where)
    assert message in found_message


def test_what_is_no_toml_is_told_with_its_line() -> None:
    ((code, _, message),) = faults_of("[[line]]\nsay = \n")
    assert code == "invalid_syntax"
    assert "line 2" in message


# -- a whole team --------------------------------------------------------------------------------

TEAM = """
[mob]
id = "m"
orchestrator = "lead"
[profiles.lead]
model = "scripted"
tools = { comms = true, mob_tasks = true }
[profiles.dev]
model = "scripted"
tools = { comms = true, mob_tasks = true }
[wiring]
auto_wire_orchestrator = true
"""

PLAY = r"""
[[line]]
member = "lead"
when = "^Ship (?P<what>.*)"

[[line.step]]
say = "I put it on the board."
call = [{ tool = "mob_task_create", args = { subject = "Ship {{ what }}" } }]

[[line.step]]
[[line.step.call]]
tool = "send_message"
args = { to = "dev", body = "Please do task {{ mob_task_create.0.task_id }}" }

[[line]]
member = "dev"
when = 'from (?P<boss>\S+)\]\n.*task (?P<task>\S+)'

[[line.step]]
[[line.step.call]]
tool = "mob_task_update"
args = { task_id = "{{ task }}", status = "in_progress", owner = "dev" }
[[line.step]]
call = [{ tool = "mob_task_update", args = { task_id = "{{ task }}", status = "completed" } }]
[[line.step]]
call = [{ tool = "send_message", args = { to = "{{ boss }}", body = "done" } }]

[[line]]
member = "lead"
needs = ['from m/dev/dev\]\ndone']
say = "Shipped."
"""


async def test_a_real_team_performs_and_its_board_shows_it() -> None:
    async with open_realm(llm=playing(PLAY)) as realm:
        mob = await realm.create_mob(parse_definition(TEAM, syntax="toml"))
        lead, _ = await spawn_team(mob)
        assert await lead.ask("Ship it") == "Shipped."
        assert [(t.subject, t.status, t.owner) for t in mob.tasks.list()] == [
            ("Ship it", "completed", "dev")
        ]


async def test_its_answers_are_whole_messages() -> None:
    answer = await answer_of(playing('[[line]]\nsay = "x"'), asking("hi"))
    assert answer == Assembled(blocks=said("x").blocks, stop_reason="end_turn", usage=answer.usage)
