"""What a watcher is told: a real team's events, folded into entries and into what happens now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from meerkat_mob import Lagged, MemberEvent, open_realm, parse_definition, spawn_team
from meerkat_mob.core.events import CompactionCompleted, EventEnvelope, TextDelta
from meerkat_mob.mob import AnyEvent
from meerkat_mob.surfaces.cli.story import (
    Again,
    Broke,
    Entry,
    Moved,
    Noted,
    Said,
    Sent,
    Story,
    Tally,
    Used,
)
from meerkat_mob.testing import Reply, ScriptedLlm, call, fail, say
from tests.surfaces.cli.kit import PAIR

Script = Mapping[str, Sequence[Reply | str]]


async def played(script: Script, *, pair: str = PAIR) -> list[AnyEvent]:
    """Every event of a pair that plays a script and is given one task."""
    async with open_realm(llm=ScriptedLlm(script)) as realm:
        mob = await realm.create_mob(parse_definition(pair))
        lead, _ = await spawn_team(mob)
        events = mob.events()
        first = await anext(events)
        await lead.send("Go")
        await mob.wait_idle()
        await mob.shutdown()
        return [first, *[event async for event in events]]


async def told(script: Script, *, pair: str = PAIR) -> tuple[Story, list[Entry]]:
    story = Story()
    events = await played(script, pair=pair)
    return story, [entry for event in events for entry in story.apply(event)]


async def test_texts_and_messages_are_told_in_order() -> None:
    _, entries = await told(
        {
            "lead": [
                say("Asking.") & call("send_message", to="worker", body=" Well? "),
                "Waiting.",
                "Thanks.",
            ],
            "worker": [call("send_message", to="pair/lead/lead", body="Well."), "Done."],
        }
    )
    assert entries[:2] == [
        Said(member="lead", text="Asking."),
        Sent(member="lead", to="worker", body="Well?"),
    ]
    assert Sent(member="worker", to="lead", body="Well.") in entries
    assert entries[-1] in {Said(member="lead", text="Thanks."), Said(member="worker", text="Done.")}


async def test_a_message_that_was_not_delivered_says_why() -> None:
    _, entries = await told({"lead": [call("send_message", to="nobody", body="Hello?"), "Alone."]})
    [sent] = [e for e in entries if isinstance(e, Sent)]
    assert sent.problem.startswith("no peer 'nobody'")


async def test_the_board_s_tasks_have_numbers_and_movers() -> None:
    def update(request_text: str, **changes: str) -> Reply:
        return call("mob_task_update", task_id=request_text, **changes)

    ids: list[str] = []

    def lead(step: int) -> Reply:
        match step:
            case 0:
                return call("mob_task_create", subject="Dig") & call(
                    "mob_task_create", subject="Plant"
                )
            case 1:
                return call("mob_task_list")
            case 2:
                return (
                    update(ids[0], status="in_progress", owner="lead")
                    & update(ids[1], status="in_progress", owner="worker")
                    & call("send_message", to="worker", body=f"See {ids[1]}")
                )
            case 3:
                return update(ids[0], status="completed") & update(ids[1], status="cancelled")
            case 4:
                return update("none", status="completed")
            case _:
                return say("Over.")

    steps = 0
    story, entries = Story(), list[Entry]()
    async with open_realm(llm=ScriptedLlm(lambda request: answer(request.speaker))) as realm:
        mob = await realm.create_mob(parse_definition(PAIR))

        def answer(speaker: str) -> Reply:
            nonlocal steps
            if speaker.endswith("/worker"):
                return say("Yes.")
            ids[:] = [task.id for task in mob.tasks.list()]
            steps += 1
            return lead(steps - 1)

        first, _ = await spawn_team(mob)
        events = mob.events()
        entries += story.apply(await anext(events))
        await first.ask("Go")
        await mob.shutdown()
        async for event in events:
            entries += story.apply(event)
    assert [e for e in entries if isinstance(e, Moved)] == [
        Moved(member="lead", verb="adds", task="#1 Dig"),
        Moved(member="lead", verb="adds", task="#2 Plant"),
        Moved(member="lead", verb="takes", task="#1 Dig"),
        Moved(member="lead", verb="gives", task="#2 Plant", to="worker"),
        Moved(member="lead", verb="completes", task="#1 Dig"),
        Moved(member="lead", verb="cancels", task="#2 Plant"),
    ]
    assert Sent(member="lead", to="worker", body="See #2") in entries
    used = [e for e in entries if isinstance(e, Used)]
    assert [(u.tool, u.result, bool(u.problem)) for u in used][:1] == [
        ("mob_task_list", "2 tasks", False)
    ]
    assert used[-1].problem.startswith("no task 'none'")
    assert [(c.status, c.owner) for c in story.board.values()] == [
        ("completed", "lead"),
        ("cancelled", "worker"),
    ]


async def test_a_failed_run_and_a_retry_are_told() -> None:
    _, entries = await told({"lead": [fail("too busy", retryable=True), fail("gone")]})
    again, broke = entries
    assert isinstance(again, Again)
    assert (again.member, again.attempt, "too busy" in again.error) == ("lead", 1, True)
    assert isinstance(broke, Broke)
    assert "gone" in broke.error


async def test_a_model_that_stands_in_and_a_history_that_was_summed_up_are_told() -> None:
    with_another = PAIR.replace('"gpt-5-mini"', '"gpt-5-mini"\nfallbacks = ["other"]', 1)
    script: Script = {"lead": [fail("out of order"), "Done."]}
    _, entries = await told(script, pair=with_another)
    (noted,) = [entry.text for entry in entries if isinstance(entry, Noted)]
    assert noted.startswith("goes on with other, for gpt-5-mini failed: ")
    assert "out of order" in noted
    done = CompactionCompleted(summary_tokens=9, messages_before=8, messages_after=3)
    envelope = EventEnvelope(event_id="e", source_id="s", seq=1, timestamp_ms=0, payload=done)
    story, _ = await told({"lead": ["Done."]})
    entries = [*story.apply(MemberEvent(member="lead", profile="lead", envelope=envelope))]
    assert entries == [Noted(member="lead", text="has summed up 6 older messages")]


async def test_what_a_member_works_without_is_told() -> None:
    pair = PAIR.replace("comms = true,", "comms = true, shell = true,", 1)
    _, entries = await told({"lead": ["Fine."]}, pair=pair)
    assert [e.member for e in entries if isinstance(e, Noted)] == ["lead"]


async def test_tallies_count_turns_calls_and_what_failed() -> None:
    story, _ = await told(
        {"lead": [call("peers") & call("nothing_of_that_name"), "Done."], "worker": []}
    )
    tally = story.seats["lead"].tally
    assert (tally.turns, tally.tool_calls, tally.failed_calls) == (2, 2, 1)
    assert tally.usage is not None
    assert story.seats["worker"].tally == Tally()


async def test_a_seat_shows_the_text_that_is_being_said_and_then_is_idle() -> None:
    story, grown = Story(), list[str]()
    for event in await played({"lead": ["One two three."]}):
        story.apply(event)
        if isinstance(event, MemberEvent) and isinstance(event.envelope.payload, TextDelta):
            grown.append(story.seats["lead"].text)
    assert grown == ["One ", "One two ", "One two three."]
    assert (story.seats["lead"].doing, story.seats["lead"].text) == ("idle", "")


async def test_an_unknown_number_of_tokens_stays_unknown() -> None:
    story, _ = await told({"lead": [say("Hm.", usage=None)]})
    assert story.seats["lead"].tally.usage is None


def test_what_passed_too_fast_is_counted() -> None:
    assert Story().apply(Lagged(skipped=3)) == (Noted(text="3 events passed too fast to be shown"),)


async def test_arguments_that_are_no_object_do_not_hurt() -> None:
    story = Story()
    for event in await played({"lead": [call("peers"), "Done."]}):
        if isinstance(event, MemberEvent) and hasattr(event.envelope.payload, "args"):
            payload = msgspec.structs.replace(event.envelope.payload, args=msgspec.Raw(b"[1]"))
            envelope = msgspec.structs.replace(event.envelope, payload=payload)
            event = msgspec.structs.replace(event, envelope=envelope)  # noqa: PLW2901
        story.apply(event)
    assert story.seats["lead"].tally.tool_calls == 1
