"""Reads: from what was committed, at once, whatever runs."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.events import EventEnvelope, RunCompleted, StreamTruncated, TurnStarted
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.metadata import PeerMeta
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.reserved import DEFERRED_TURN, LABELS, SESSION_METADATA
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import RunCancelled, SessionNotFound
from meerkat_mob.llm import ScriptedLlm, hang, say
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_request, a_session, a_turn, a_turn_at
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, said

A_FEW_WORDS, OFTEN = "w " * 39, 30
"""So short a text comes word by word; so often, it is more events than a session keeps."""


async def a_view_shows_every_field(open_service: OpenService) -> None:
    """8.2-2."""
    used = Usage(input_tokens=3, output_tokens=5)
    async with open_service(ScriptedLlm([say("hello", usage=used)])) as service:
        result = await service.create_session(a_request("hi", labels={"team": "red"}))
        view = await service.read(result.session_id)
        state = view.state
        same((state.session_id, state.message_count), (result.session_id, 2))
        same((state.model, state.provider), ("scripted", "scripted"), "the model")
        same((state.last_assistant_text, dict(state.labels)), ("hello", {"team": "red"}))
        holds(not state.is_active and state.created_at <= state.updated_at, "it is idle, and dated")
        same((view.billing.total_tokens, view.billing.usage), (8, used), "the billing")


async def a_read_during_a_turn_shows_what_was_before_it(open_service: OpenService) -> None:
    """8.1-8, 8.2-7, SVC-4, INV-10: view, list and history answer at once, with is_active."""
    async with open_service(ScriptedLlm(["one", hang()])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        turn = await a_turn_at(TurnStarted, service, session_id, "second")
        state = (await service.read(session_id)).state
        same((state.is_active, state.message_count), (True, 2), "the view")
        same(state.last_assistant_text, "one", "the last text")
        listed = (await service.list(SessionQuery()))[0]
        same((listed.is_active, listed.message_count), (True, 2), "the summary")
        same(await said(service, session_id), [("user", "first"), ("model", "one")])
        exported = await service.export_session(session_id)
        same(len(exported.messages), 2, "messages of the export")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same((await service.read(session_id)).state.message_count, 3, "messages after it")


async def what_was_read_stays_as_it_was_read(open_service: OpenService) -> None:
    """A page or a document does not change when the session goes on."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        history = await service.read_history(session_id)
        document = await service.export_session(session_id)
        await service.start_turn(session_id, a_turn())
        same((len(history.messages), len(document.messages)), (2, 2), "messages")


async def sessions_are_listed_in_the_order_they_were_made(open_service: OpenService) -> None:
    """8.1-9, EPH-12: also after one has gone; offset and limit cut, whatever they are."""
    async with open_service(ScriptedLlm([])) as service:
        made = [await a_session(service) for _ in range(5)]
        await service.archive(made.pop(1))
        for offset, limit, wanted in (
            (0, None, made),
            (1, 2, made[1:3]),
            (3, 9, made[3:]),
            (9, None, []),
            (0, 0, []),
            (-1, 1, made[:1]),
            (0, -1, []),
        ):
            found = await service.list(SessionQuery(offset=offset, limit=limit))
            same([s.session_id for s in found], wanted, f"offset {offset}, limit {limit}")


async def labels_are_kept_and_all_of_them_filter(open_service: OpenService) -> None:
    """8.1-26 to 29, 8.2-12 and 13: in view and list; empty when not given."""
    async with open_service(ScriptedLlm([])) as service:
        created = [
            await service.create_session(a_request(defer=True, labels=labels))
            for labels in ({"a": "1", "b": "2"}, {"a": "1"}, {})
        ]
        both, one, none = (c.session_id for c in created)
        same(dict((await service.read(both)).state.labels), {"a": "1", "b": "2"}, "labels")
        same(dict((await service.read(none)).state.labels), {}, "labels by default")
        for wanted, query in (
            ([both, one], {"a": "1"}),
            ([both], {"a": "1", "b": "2"}),
            ([], {"a": "2"}),
            ([], {"c": "1"}),
            ([both, one, none], dict[str, str]()),
        ):
            found = await service.list(SessionQuery(labels=query))
            same([s.session_id for s in found], wanted, f"labels {query}")


async def history_is_read_in_pages(open_service: OpenService) -> None:
    """Spec 2.3: oldest first, offset cut to the count, ``has_more`` exact."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        await service.start_turn(session_id, a_turn("second"))
        everything = (await service.read_history(session_id)).messages
        for offset, limit, at, count, more in (
            (0, None, 0, 4, False),
            (1, 2, 1, 2, True),
            (2, 2, 2, 2, False),
            (9, 2, 4, 0, False),
            (-3, 1, 0, 1, True),
            (1, 0, 1, 0, True),
            (1, -1, 1, 0, True),
        ):
            page = await service.read_history(session_id, offset=offset, limit=limit)
            place = f"offset {offset}, limit {limit}"
            same(page.messages, everything[at : at + count], place)
            same((page.offset, page.has_more, page.message_count), (at, more, 4), place)


async def an_export_holds_what_a_cold_reader_needs(open_service: OpenService) -> None:
    """EPH-22: what was said, by whom it can be answered, and what waits for the first turn."""
    options = SessionBuildOptions(
        session_id="mine",
        comms_name="team/dev/ann",
        peer_meta=PeerMeta(description="knows things"),
        realm_id="mob:team",
        keep_alive=True,
        provider_params={"seed": 7},
    )
    request = CreateSessionRequest(
        model="gpt-9",
        prompt="kept",
        system_prompt="be kind",
        max_tokens=77,
        initial_turn="defer",
        deferred_prompt_policy="stage",
        build=options,
        labels={"team": "red"},
    )
    async with open_service(ScriptedLlm(["hello"])) as service:
        await service.create_session(request)
        waiting = DEFERRED_TURN.read((await service.export_session("mine")).metadata)
        holds(waiting is not None and waiting.first_turn_phase == "pending", "a turn is to come")
        result = await service.start_turn("mine", a_turn("hi"))
        document = await service.export_session("mine")
        view = await service.read("mine")
        same(document.messages[:], (await service.read_history("mine")).messages, "messages")
        same((document.id, document.usage), ("mine", result.usage))
        same(
            (document.created_at, document.updated_at),
            (view.state.created_at, view.state.updated_at),
        )
        same(LABELS.read(document.metadata), {"team": "red"}, "labels")
        wanted = DeferredTurnState(first_turn_phase="consumed")
        same(DEFERRED_TURN.read(document.metadata), wanted, "the first turn")
        identity = SESSION_METADATA.read(document.metadata)
        holds(identity is not None, "the metadata can be read")
        if identity is not None:
            same((identity.model, identity.provider, identity.max_tokens), ("gpt-9", "openai", 77))
            same((identity.comms_name, identity.realm_id), ("team/dev/ann", "mob:team"))
            same((identity.peer_meta, identity.keep_alive), (options.peer_meta, True))
            same(identity.provider_params, {"seed": 7}, "provider parameters")


async def a_slow_watcher_is_told_what_it_missed(open_service: OpenService) -> None:
    """Design, "Events": the marker stands in front of what is still kept, and fits between."""
    async with open_service(ScriptedLlm([A_FEW_WORDS] * OFTEN)) as service:
        session_id = await a_session(service)
        early = service.subscribe_session_events(session_id)
        for _ in range(OFTEN):
            await service.start_turn(session_id, a_turn())
        late = service.subscribe_session_events(session_id, after=0)
        now = service.subscribe_session_events(session_id)
        await service.archive(session_id)
        first, *rest = [envelope async for envelope in early]
        holds(isinstance(first.payload, StreamTruncated), "the gap is marked")
        numbers = [e.seq for e in rest]
        same(numbers, list(range(first.seq + 1, first.seq + 1 + len(rest))), "the numbers after it")
        holds(isinstance(rest[-1].payload, RunCompleted), "what was kept follows, to the end")
        same([e.seq async for e in late], [first.seq, *numbers], "asked for later")
        same([e async for e in now], [], "asked from now on")


async def a_watcher_is_called_until_it_is_let_go(open_service: OpenService) -> None:
    """At once, with each event; one that raises does not hurt the run or the other watchers."""
    seen: list[EventEnvelope] = []
    troubled: list[EventEnvelope] = []

    def trouble(envelope: EventEnvelope) -> None:
        troubled.append(envelope)
        raise RuntimeError("a watcher's own fault")

    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = await a_session(service)
        service.watch_session_events(session_id, trouble)
        stop = service.watch_session_events(session_id, seen.append)
        loop, told = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        await service.start_turn(session_id, a_turn())
        loop.set_exception_handler(None)
        same([str(error) for error in told], ["a watcher's own fault"], "what the loop was told")
        count = len(seen)
        same([e.seq for e in seen], list(range(1, count + 1)), "what was seen")
        same(len(troubled), 1, "calls of the watcher that raised")
        stop()
        stop()
        await service.start_turn(session_id, a_turn())
        same(len(seen), count, "what was seen after letting go")


async def what_compactions_take_out_can_be_read(open_service: OpenService) -> None:
    """CMP-4: all of it, in order, once; and nothing when that is known already."""
    policy = CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=1)
    options = SessionBuildOptions(compaction=policy)
    lines = ["zero", "first summary", "two", "second summary", "three"]
    async with open_service(ScriptedLlm(lines)) as service:
        request = CreateSessionRequest(model="scripted", prompt="a", build=options)
        session_id = (await service.create_session(request)).session_id
        holds(await service.read_discarded(session_id) is None, "nothing was taken out")
        known = 0
        for prompt, gone in (("b", ["a", "zero"]), ("c", ["a", "zero", "b", "two"])):
            await service.start_turn(session_id, a_turn(prompt))
            told = await service.read_discarded(session_id, known)
            holds(told is not None, "there is news")
            if told is None:
                return
            same([text_of_message(message) for message in told.messages], gone, "what is gone")
            known = told.at
            holds(await service.read_discarded(session_id, known) is None, "that is known now")


async def nobody_is_unknown_to_all_of_them(open_service: OpenService) -> None:
    """``SessionNotFound``, with the id."""
    async with open_service(ScriptedLlm([])) as service:
        for look in (
            lambda: service.read("nobody"),
            lambda: service.read_history("nobody"),
            lambda: service.export_session("nobody"),
            lambda: service.read_discarded("nobody"),
            lambda: service.start_turn("nobody", a_turn()),
            lambda: service.interrupt("nobody"),
            lambda: service.archive("nobody"),
            lambda: service.discard_live_session("nobody"),
            lambda: service.apply_runtime_turn("nobody", "run", a_turn(), "run_start", ()),
        ):
            with refuses(SessionNotFound) as refusal:
                await look()
            same(refusal.error.session_id, "nobody", "the id in the error")
        with refuses(SessionNotFound):
            service.subscribe_session_events("nobody")
        holds(not await service.has_live_session("nobody"), "it is not live")
