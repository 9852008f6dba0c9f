"""Testing a team: the model says what the test wants, and minutes of waiting take no time.

`ScriptedLlm` is strict: a call it has no line for fails, and so does a line nobody spoke. On the
virtual clock the slow reviewer below is waited for at once, and a deadlock would be an error.

    python examples/test_a_team.py      (or let pytest find it)
"""

from meerkat_mob import open_realm, parse_definition, spawn_team
from meerkat_mob.testing import ScriptedLlm, call, say, virtual_clock

TEAM = parse_definition("""
[mob]
id = "review"
orchestrator = "author"

[profiles.author]
model = "gpt-5-mini"
tools = { comms = true, mob_tasks = true }

[profiles.reviewer]
model = "gpt-5-mini"
tools = { comms = true }

[wiring]
auto_wire_orchestrator = true
""")


async def a_slow_reviewer_is_waited_for() -> None:
    """The author asks, the reviewer thinks for four minutes, the author answers."""
    script = {
        "author": [
            call("send_message", to="reviewer", body="Is the release note right?"),
            say("I wait for the reviewer."),
            say("The note is right: we can release."),
        ],
        "reviewer": [
            say("Reading.", delay=240) & call("send_message", to="author", body="It is right."),
            say("Done."),
        ],
    }
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            author, _ = await spawn_team(mob)
            answer = await author.ask("Can we release?")
    assert answer == "The note is right: we can release."


def test_a_slow_reviewer_is_waited_for() -> None:
    """In virtual time."""
    virtual_clock.run(a_slow_reviewer_is_waited_for())


if __name__ == "__main__":
    test_a_slow_reviewer_is_waited_for()
    print("the team behaves")
