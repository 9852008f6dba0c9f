"""Sessions looked at by somebody who does not hold the realm: listed, found, read, and damaged."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import InvalidParams, SessionNotFound, StoreCorrupt
from meerkat_mob.sessions import PersistentSessionService, SessionQuery
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.outside import (
    KeptSummary,
    find_kept,
    list_kept,
    read_kept,
    summary_or_nothing,
)
from meerkat_mob.store import MemoryStore
from meerkat_mob.store.file import FileReader
from meerkat_mob.testing import ScriptedLlm, a_clock, a_request, a_turn
from meerkat_mob.testing.builders import NEW_YEAR_2030, a_persistent_service
from tests.store.kit import a_reader, a_store, edit

NAMES = ("ada", "adam", "bob", "cleo")


@asynccontextmanager
async def talks(
    store: MemoryStore | None = None,
) -> AsyncGenerator[tuple[MemoryStore, PersistentSessionService], None]:
    """Four sessions of one turn each, one after the other; the last one is archived."""
    kept = store or MemoryStore(clock=a_clock(step=1))
    service = await a_persistent_service(ScriptedLlm(lambda _: "hello"), kept, clock=a_clock())
    await converse(service)
    yield kept, service
    await service.aclose()
    await kept.aclose()


async def converse(service: PersistentSessionService) -> None:
    for number, name in enumerate(NAMES):
        labels = {"kind": "odd" if number % 2 else "even"}
        await service.create_session(a_request(defer=True, session_id=name, labels=labels))
        await service.start_turn(name, a_turn(f"I am {name}"))
    await service.archive("cleo")


async def names(store: MemoryStore, query: SessionQuery, *, archived: bool = False) -> list[str]:
    return [one.session_id for one in (await list_kept(store, query, archived=archived)).sessions]


async def test_the_session_that_was_updated_last_is_the_first() -> None:
    async with talks() as (store, service):
        assert await names(store, SessionQuery()) == ["bob", "adam", "ada"]
        await service.start_turn("ada", a_turn("again"))
        assert await names(store, SessionQuery()) == ["ada", "bob", "adam"]


async def test_sessions_that_were_updated_at_one_time_are_in_the_order_of_their_ids() -> None:
    async with talks(MemoryStore(clock=a_clock())) as (store, _):
        assert await names(store, SessionQuery(), archived=True) == ["ada", "adam", "bob", "cleo"]


async def test_a_list_says_what_a_head_says() -> None:
    async with talks() as (store, _):
        (bob,) = (await list_kept(store, SessionQuery(limit=1))).sessions
        head = await store.head(STREAM + "bob")
        assert head is not None
        assert bob == KeptSummary(
            session_id="bob",
            created_at=NEW_YEAR_2030,
            updated_at=head.at,
            message_count=2,
            total_tokens=bob.total_tokens,
            model="scripted",
            provider="scripted",
            labels={"kind": "even"},
        )


async def test_a_page_says_what_else_there_is() -> None:
    async with talks() as (store, _):
        first = await list_kept(store, SessionQuery(limit=2))
        assert (first.total, first.next_offset, first.archived_left_out) == (3, 2, 1)
        second = await list_kept(store, SessionQuery(limit=2, offset=2))
        assert [one.session_id for one in second.sessions] == ["ada"]
        assert second.next_offset is None
        beyond = await list_kept(store, SessionQuery(offset=9))
        assert (beyond.sessions, beyond.total, beyond.next_offset) == ((), 3, None)


async def test_labels_must_all_match_and_archived_ones_come_when_asked_for() -> None:
    async with talks() as (store, _):
        assert await names(store, SessionQuery(labels={"kind": "odd"})) == ["adam"]
        wanted = SessionQuery(labels={"kind": "odd"})
        assert await names(store, wanted, archived=True) == ["cleo", "adam"]
        assert await names(store, SessionQuery(labels={"kind": "odd", "x": "y"})) == []


async def test_a_label_to_look_for_is_a_text() -> None:
    async with talks() as (store, _):
        with pytest.raises(InvalidParams, match=r"labels\.kind"):
            await list_kept(store, SessionQuery(labels={"kind": 1}))  # type: ignore[dict-item]


async def test_a_session_is_found_by_its_id_or_by_a_beginning_of_its_own() -> None:
    async with talks() as (store, _):
        assert await find_kept(store, "ada") == "ada"  # although another one begins so
        assert await find_kept(store, "b") == "bob"
        assert await find_kept(store, "cl") == "cleo"


async def test_a_beginning_that_several_have_is_refused_naming_them() -> None:
    async with talks() as (store, _):
        with pytest.raises(InvalidParams, match="begin with 'ad': ada, adam; give more of the id"):
            await find_kept(store, "ad")
        with pytest.raises(InvalidParams, match="ada, adam, bob and more"):
            await find_kept(store, "")


async def test_what_is_not_there_is_refused_naming_the_nearest() -> None:
    async with talks() as (store, _):
        with pytest.raises(SessionNotFound, match=r"did you mean adam") as refused:
            await find_kept(store, "adams")
        assert refused.value.nearest[0] == "adam"
        with pytest.raises(SessionNotFound) as refused:
            await find_kept(store, "odd")
        assert refused.value.nearest == ("cleo", "adam")  # that is a label of theirs
        with pytest.raises(SessionNotFound, match="list those there are"):
            await find_kept(store, "zzz")


async def test_a_session_is_read_from_its_records() -> None:
    async with talks() as (store, _):
        kept = await read_kept(store, "bob")
        said = [text_of_message(message) for message in kept.state.transcript.view()]
        assert said == ["I am bob", "hello"]
        assert (kept.runs, kept.receipts, kept.damage) == (1, 0, None)
        assert kept.revision == await store.revision(STREAM + "bob")
        assert (await read_kept(store, "cleo")).state.archived


async def test_runs_and_receipts_are_counted() -> None:
    async with talks() as (store, service):
        await service.apply_runtime_turn("bob", "run-1", a_turn("again"), "run_start", ("input-1",))
        kept = await read_kept(store, "bob")
        assert (kept.runs, kept.receipts) == (2, 1)


async def test_what_was_never_kept_cannot_be_read() -> None:
    async with talks() as (store, _):
        with pytest.raises(SessionNotFound):
            await read_kept(store, "nobody")


async def test_a_summary_that_cannot_be_made_is_none() -> None:
    async with talks() as (store, _):
        records = await store.read(STREAM + "bob")
        head = await store.head(STREAM + "bob")
        assert head is not None
        assert summary_or_nothing(records) == head.summary
        assert summary_or_nothing(records[1:]) == summary_or_nothing(()) == b""


# -- damage ------------------------------------------------------------------------------------


@asynccontextmanager
async def damaged(statement: str, *values: object) -> AsyncGenerator[FileReader, None]:
    """The four sessions in a file that a stranger changed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "realm")
        async with a_store(path) as store:
            service = await a_persistent_service(
                ScriptedLlm(lambda _: "hello"), store, clock=a_clock()
            )
            await converse(service)
            await service.start_turn("bob", a_turn("again"))
            await service.aclose()
        edit(path, statement, *values)
        async with a_reader(path) as reader:
            yield reader


LAST_MESSAGE = "(SELECT max(seq) FROM records WHERE stream = 'session:bob' AND kind = 'messages')"


async def test_what_comes_before_a_damaged_record_is_read() -> None:
    change = f"UPDATE records SET body = ? WHERE stream = 'session:bob' AND seq = {LAST_MESSAGE}"
    async with damaged(change, b"[]") as reader:
        kept = await read_kept(reader, "bob")
        assert kept.damage is not None
        assert kept.revision == kept.damage.seq - 1
        said = [text_of_message(message) for message in kept.state.transcript.view()]
        assert said == ["I am bob", "hello"]
        assert kept.state.updated_at > 0
        assert (await read_kept(reader, "ada")).damage is None


async def test_a_session_whose_beginning_is_damaged_cannot_be_read_and_others_can() -> None:
    change = "UPDATE records SET body = ? WHERE stream = 'session:bob' AND seq = 1"
    async with damaged(change, b"{}") as reader:
        with pytest.raises(StoreCorrupt, match="record 1 of session:bob"):
            await read_kept(reader, "bob")
        assert (await read_kept(reader, "adam")).damage is None


async def test_a_damaged_head_is_listed_marked_and_its_records_are_read() -> None:
    change = "UPDATE heads SET summary = ? WHERE stream = 'session:bob'"
    async with damaged(change, b"{}") as reader:
        listed = await list_kept(reader, SessionQuery())
        assert listed.sessions[-1] == KeptSummary(session_id="bob", damaged=True)
        assert (listed.total, listed.damaged) == (3, 1)
        kept = await read_kept(reader, await find_kept(reader, "bob"))
        assert kept.damage is not None
        assert kept.state.transcript.last_assistant_text == "hello"
        labelled = await list_kept(reader, SessionQuery(labels={"kind": "even"}))
        assert [one.session_id for one in labelled.sessions] == ["ada"]
        assert labelled.damaged == 1


async def test_a_session_without_a_head_is_damaged_and_not_unknown() -> None:
    async with damaged("DELETE FROM heads WHERE stream = 'session:bob'") as reader:
        with pytest.raises(StoreCorrupt, match="session:bob"):
            await find_kept(reader, "bob")
