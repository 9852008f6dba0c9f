"""Records that are not what they ought to be: told where they are, and only there."""

from __future__ import annotations

from meerkat_mob.errors import AgentError, StoreCorrupt
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.sessions import SessionQuery, StreamFacts
from meerkat_mob.sessions.fold import summary_from
from meerkat_mob.store import Append, NewRecord
from meerkat_mob.testing.builders import a_request, a_session, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import records_of, seen, sessions_in
from meerkat_mob.testing.session_contract.maker import said
from meerkat_mob.testing.store_contract import OpenStore

BROKEN = (
    NewRecord(kind="messages", body=b"{"),
    NewRecord(kind="messages", body=b'[{"role":"nobody"}]'),
    NewRecord(kind="messages", body=b'[{"role":"user","content":"half'),
    NewRecord(kind="session_changed", body=b'{"archived":"perhaps"}'),
    NewRecord(kind="messages_rewritten", body=b'{"start":7,"stop":99,"messages":[]}'),
    NewRecord(kind="run_ended", body=b"[]"),
    NewRecord(kind="session_opened", body=b"null"),
    NewRecord(kind="session_changed", body=b"{}", v=2),
    NewRecord(kind="messages", body=b"[]", v=9),
)
"""No facts of a session, and some of a later format."""


async def _append(open_store: OpenStore, session_id: str, *records: NewRecord) -> int:
    """Writes behind the session's back; returns the number of the first."""
    stream = f"session:{session_id}"
    async with open_store() as store:
        revision = await store.revision(stream)
        append = Append(stream=stream, expected=revision, records=records)
        await store.commit((append,))
    return revision + 1


async def a_record_that_is_no_fact_is_found(open_store: OpenStore) -> None:
    """With stream and number; the head still answers, and no other session is touched."""
    async with sessions_in(open_store) as service:
        ids = [await a_session(service) for _ in BROKEN]
        whole = await a_session(service)
    at = [await _append(open_store, name, bad) for name, bad in zip(ids, BROKEN, strict=True)]
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        listed = [s.session_id for s in await service.list(SessionQuery())]
        same(listed, [*ids, whole], "what is listed")
        for session_id, seq in zip(ids, at, strict=True):
            for command in (
                service.read_history(session_id),
                service.export_session(session_id),
                service.start_turn(session_id, a_turn()),
                service.append_system_context(session_id, "t"),
                service.archive(session_id),
            ):
                with refuses(StoreCorrupt) as refusal:
                    await command
                place = (refusal.error.stream, refusal.error.seq)
                same(place, (f"session:{session_id}", seq), "the place")
            holds(not await service.has_live_session(session_id), "it does not live")
        await service.start_turn(whole, a_turn())
        same(len(await said(service, whole)), 2, "messages of the other")


async def a_head_that_is_no_summary_hides_one_session(open_store: OpenStore) -> None:
    """Reads of it say so; the list leaves it out; its name stays taken."""
    async with sessions_in(open_store) as service:
        bad, good = await a_session(service), await a_session(service)
    async with open_store() as store:
        stream = f"session:{bad}"
        revision = await store.revision(stream)
        append = Append(stream=stream, expected=revision, records=(), head=b'{"no":"summary"}')
        await store.commit((append,))
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        same([s.session_id for s in await service.list(SessionQuery())], [good], "the list")
        for command in (
            service.read(bad),
            service.read_history(bad),
            service.start_turn(bad, a_turn()),
            service.archive(bad),
        ):
            with refuses(StoreCorrupt) as refusal:
                await command
            same(refusal.error.stream, stream, "the stream")
        with refuses(AgentError):
            await service.create_session(a_request(defer=True, session_id=bad))
        await service.start_turn(good, a_turn())


async def a_stream_that_opens_no_session_is_none(open_store: OpenStore) -> None:
    """Records of others alone: damage of that stream, and of no other."""
    async with sessions_in(open_store) as service:
        good = await a_session(service)
    await _append(open_store, "strange", NewRecord(kind="noted", body=b"{}"))
    async with sessions_in(open_store) as service:
        same([s.session_id for s in await service.list(SessionQuery())], [good], "the list")
        with refuses(StoreCorrupt):
            await service.start_turn("strange", a_turn())


async def records_of_others_are_passed_over(open_store: OpenStore) -> None:
    """Also in a format nobody here knows: they are not the session's."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        before = await seen(service, session_id)
    strange = (NewRecord(kind="noted", body=b"\xff"), NewRecord(kind="noted", body=b"", v=7))
    await _append(open_store, session_id, *strange)
    async with sessions_in(open_store, ScriptedLlm(["two"])) as service:
        same((await service.read_history(session_id)), before[2], "the history")
        await service.start_turn(session_id, a_turn())
        same(len(await said(service, session_id)), 4, "messages")


async def a_runtime_s_facts_stand_in_the_session_s_stream(open_store: OpenStore) -> None:
    """In order with the session's own, and the session is none the wiser."""
    record = NewRecord(kind="input_noted", body=b"{}")
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        told: list[str] = []
        await service.append_facts(
            session_id, StreamFacts(records=(record,)), then=lambda: told.append("kept")
        )
        await service.start_turn(session_id, a_turn())
        await service.append_facts(session_id, StreamFacts(records=(record,)))
        same(told, ["kept"], "what was told in the step of the commit")
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        same(await seen(service, session_id), before, "what is seen after a restart")
        kinds = [record.kind for record in await service.read_facts(session_id)]
        same(kinds.count("input_noted"), 2, "the runtime's facts")


async def a_head_follows_from_the_records(open_store: OpenStore) -> None:
    """What ``verify`` compares: of a whole life, byte for byte."""
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        request = a_request("kept", defer=True, stage=True, labels={"a": "1"})
        session_id = (await service.create_session(request)).session_id
        await service.start_turn(session_id, a_turn())
        await service.append_system_context(session_id, "t")
        await service.apply_runtime_context_appends(session_id, "run", (), ())
        forked = await service.fork_session(session_id, at=1)
        await service.start_turn(forked, a_turn())
        await service.archive(session_id)
    for name in (session_id, forked):
        records = await records_of(open_store, name)
        async with open_store() as store:
            head = await store.head(f"session:{name}")
        same(head and head.summary, summary_from(records), "the summary")
