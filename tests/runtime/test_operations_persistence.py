"""Background work is what its facts say, before a restart and after it (8.6, ops persistence)."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec.structs import replace

from meerkat_mob.errors import OperationNotFound, StoreCorrupt, StoreFailed
from meerkat_mob.runtime.operations import (
    KINDS,
    PROCESS_ENDED,
    OperationAborted,
    OperationCancelled,
    OperationCompleted,
    OperationFact,
    OperationFailed,
    OperationFold,
    OperationKind,
    OperationOutcome,
    OperationRegistry,
    OperationRetired,
    OperationSpec,
    OperationStatus,
    OperationTerminated,
    PeerHandle,
    facts,
    record_of,
)
from meerkat_mob.sessions import StreamFacts
from meerkat_mob.store import MemoryStore, Record
from meerkat_mob.testing import ScriptedLlm
from meerkat_mob.testing.builders import a_clock, a_persistent_service, a_session, some_ids
from tests.runtime.kit import settle
from tests.runtime.operations_kit import OWNER, Log, a_child, a_job, a_registry, completed, running
from tests.strategies import counts, instants, json_values, literal, maybe, names, texts

LOST = OperationTerminated(reason=PROCESS_ENDED)

specs = st.builds(
    OperationSpec,
    id=names,
    kind=literal(OperationKind),
    owner_session_id=names,
    display_name=texts,
    source_label=texts,
    child_session_id=maybe(names),
    expect_peer_channel=maybe(st.booleans()),
)
outcomes: SearchStrategy[OperationOutcome] = st.one_of(
    st.builds(OperationCompleted, result=json_values),
    st.builds(OperationFailed, error=texts),
    st.builds(OperationAborted, reason=maybe(texts)),
    st.builds(OperationCancelled, reason=maybe(texts)),
    st.builds(OperationRetired),
    st.builds(OperationTerminated, reason=texts),
)
any_fact: SearchStrategy[OperationFact] = st.one_of(
    st.builds(facts.EpochBegan, epoch_id=names),
    st.builds(facts.Registered, spec=specs, at=instants),
    st.builds(facts.Started, operation_id=names, at=instants),
    st.builds(
        facts.PeerBecameReady,
        operation_id=names,
        peer=st.builds(PeerHandle, peer_name=names, peer_id=texts),
    ),
    st.builds(facts.RetireRequested, operation_id=names),
    st.builds(
        facts.Ended,
        operation_id=names,
        seq=counts,
        outcome=outcomes,
        at=instants,
        progress=maybe(counts),
    ),
    st.builds(facts.CursorsMoved, agent_applied=maybe(counts), collected=maybe(counts)),
)


@given(any_fact)
def test_a_fact_comes_back_as_it_was_written(fact: OperationFact) -> None:
    record = record_of(fact)
    assert record.kind == KINDS[type(fact)]
    assert facts.DECODERS[record.kind].decode(record.body) == fact


async def restarted(log: Log, *, retention: int = 256) -> OperationRegistry:
    registry = a_registry(log, retention=retention)
    await registry.recover()
    return registry


async def test_a_restart_finds_every_end_with_its_outcome_peer_count_and_times() -> None:
    log = Log()
    before = a_registry(log)
    await running(before, a_child())
    await before.peer_ready("child", PeerHandle(peer_name="mob/worker/one", peer_id="key"))
    before.report_progress("child")
    await before.complete("child", {"rows": [1, 2]})
    await completed(before, a_job())

    after = await restarted(log)
    assert after.list_operations() == before.list_operations()
    assert after.completion_feed.list_since(0) == before.completion_feed.list_since(0)


@pytest.mark.parametrize("status", ["provisioning", "running", "retiring"])
async def test_what_had_not_ended_ends_as_terminated_and_nobody_pretends_to_know_more(
    status: str,
) -> None:
    log = Log()
    before = a_registry(log)
    await before.register_operation(a_job())
    if status != "provisioning":
        await before.provisioning_succeeded("job")
        before.report_progress("job")
    if status == "retiring":
        await before.request_retire("job")
    assert before.snapshot("job").status == status

    after = a_registry(log)
    assert await after.recover() == 1
    shown = after.snapshot("job")
    assert (shown.status, shown.terminal_outcome) == (OperationStatus.TERMINATED, LOST)
    assert shown.progress_count is None
    assert after.register_watcher("job").result() == LOST
    assert await after.wait_all("run", ["job"]) == {"job": LOST}


async def test_the_model_is_told_of_a_job_that_lost_its_process() -> None:
    log = Log()
    await running(a_registry(log), a_job())
    news = (await restarted(log)).wake(quiescent=True)
    assert news is not None
    assert news.notice.body == f'Background job "the job" (job) terminated: {PROCESS_ENDED}'


async def test_a_second_restart_finds_nothing_unfinished_and_writes_nothing() -> None:
    log = Log()
    await running(a_registry(log), a_job("a"), a_job("b"))
    assert await a_registry(log).recover() == 2
    kept = log.commits
    assert await a_registry(log).recover() == 0
    assert log.commits == kept
    assert log.kinds.count("operation_ended") == 2


async def test_ends_of_a_restart_that_cannot_be_kept_have_not_happened() -> None:
    log = Log()
    await running(a_registry(log), a_job())
    registry = a_registry(log)
    log.failing = True
    with pytest.raises(StoreFailed):
        await registry.recover()
    assert registry.snapshot("job").status is OperationStatus.RUNNING
    log.failing = False
    assert await registry.recover() == 1


async def test_the_epoch_and_the_numbers_of_the_feed_go_on() -> None:
    log = Log()
    before = a_registry(log)
    await completed(before, a_job("a"), a_job("b"))
    await running(before, a_job("c"))
    after = await restarted(log)
    assert after.epoch_id == before.epoch_id
    assert after.completion_feed.watermark == 3
    await completed(after, a_job("d"))
    assert [e.seq for e in after.completion_feed.list_since(0).entries] == [1, 2, 3, 4]
    assert log.kinds.count("operation_epoch") == 1


async def test_what_was_told_and_collected_stays_so() -> None:
    log = Log()
    before = a_registry(log)
    await completed(before, a_job("a"), a_job("b"))
    await before.told(1)
    await before.collect_completed()
    after = await restarted(log)
    assert after.cursors.agent_applied == 1
    assert await after.collect_completed() == ()
    news = after.news()
    assert news is not None
    assert [job.operation_id for job in news.jobs] == ["b"]


async def test_a_continuation_that_died_with_its_process_is_injected_again() -> None:
    log = Log()
    before = a_registry(log)
    await completed(before, a_job())
    assert before.wake(quiescent=True) is not None
    after = await restarted(log)
    assert after.wake(quiescent=True) is not None
    assert after.wake(quiescent=True) is None


async def test_ends_beyond_retention_are_forgotten_as_records_and_still_in_the_feed() -> None:
    log = Log()
    await completed(a_registry(log, retention=2), *(a_job(f"job-{n}") for n in range(5)))
    after = await restarted(log, retention=2)
    assert [shown.spec.id for shown in after.list_operations()] == ["job-3", "job-4"]
    assert len(after.completion_feed.list_since(0).entries) == 5
    with pytest.raises(OperationNotFound):
        after.snapshot("job-0")


async def test_no_wait_outlives_its_process() -> None:
    log = Log()
    before = a_registry(log)
    await running(before, a_job())
    wait = asyncio.create_task(before.wait_all("run", ["job"]))
    await settle()
    after = await restarted(log)
    assert after.waiting_run is None
    assert after.snapshot("job").watcher_count == 0
    wait.cancel()
    await asyncio.wait([wait])


async def test_however_it_is_read_the_book_is_the_same() -> None:
    log = Log()
    await completed(a_registry(log), *(a_job(f"job-{n}") for n in range(4)))
    by_one = OperationFold(OWNER)
    for record in log.records:
        by_one.add([record])
    assert by_one.book.all() == log.book().all()
    assert by_one.book.feed.list_since(0) == log.book().feed.list_since(0)


async def test_records_of_other_kinds_are_none_of_our_business() -> None:
    log = Log()
    await completed(a_registry(log), a_job())
    fold = OperationFold(OWNER)
    fold.add([replace(log.records[0], kind="messages", body=b"?"), *log.records])
    assert len(fold.book.all()) == 1


DAMAGE: dict[str, Callable[[Record], Record]] = {
    "it is no fact": lambda r: replace(r, body=b"{"),
    "a later version": lambda r: replace(r, v=2),
    "who is absent": lambda r: replace(r, body=r.body.replace(b'"job"', b'"who"')),
    "does not follow": lambda r: replace(r, body=r.body.replace(b'"seq":1', b'"seq":3')),
}


@pytest.mark.parametrize("why", DAMAGE)
async def test_a_record_that_cannot_be_is_damage_and_names_its_place(why: str) -> None:
    log = Log()
    await completed(a_registry(log), a_job())
    *before, last = log.records
    with pytest.raises(StoreCorrupt, match=why) as found:
        OperationFold(OWNER).add([*before, DAMAGE[why](last)])
    assert (found.value.stream, found.value.seq) == (f"session:{OWNER}", last.seq)


async def test_the_facts_live_in_the_stream_of_their_session_and_disturb_nobody_there() -> None:
    store = MemoryStore(clock=a_clock(step=1))

    async def opened(session_id: str | None) -> tuple[str, OperationRegistry, int]:
        """What one process does: it opens the session, ends what was left, and begins a job."""
        service = await a_persistent_service(ScriptedLlm([]), store)
        here = session_id or await a_session(service)

        async def keep(new: Sequence[OperationFact], then: Callable[[], None]) -> None:
            await service.append_facts(
                here, StreamFacts(records=tuple(map(record_of, new))), then=then
            )

        fold = OperationFold(here)
        fold.add(await service.read_facts(here, after=0, limit=1000))
        registry = OperationRegistry(fold.book, keep=keep, clock=a_clock(), ids=some_ids("epoch"))
        await registry.recover()
        if session_id is None:
            await running(registry, a_job(owner=here))
        said = len((await service.read_history(here)).messages)
        await service.aclose()
        return here, registry, said

    session_id, before, said = await opened(None)
    _, after, said_then = await opened(session_id)
    assert after.epoch_id == before.epoch_id
    assert after.snapshot("job").terminal_outcome == LOST
    assert after.completion_feed.watermark == 1
    assert said == said_then == 0
