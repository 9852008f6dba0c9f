"""Whatever happens to background work in whatever order, and wherever a process ends.

What was acknowledged is there after every restart; an operation ends once, and everybody who
watches it learns that end; the model is told of each job, and never of one before an earlier one.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import MeerkatError, StoreError
from meerkat_mob.runtime.operations import (
    LIVING,
    STEPS,
    FeedEntry,
    OperationBook,
    OperationKind,
    OperationMove,
    OperationOutcome,
    OperationStatus,
    PeerHandle,
    status_of,
)
from tests.runtime.kit import settle
from tests.runtime.operations_kit import Log, a_job, a_registry

RETENTION = 3
CHANGES = (
    "register job",
    "register child",
    "register and run job",
    "register and run child",
    "provisioned",
    "unprovisioned",
    "abort",
    "ready",
    "progress",
    "complete",
    "fail",
    "cancel",
    "retire",
    "mark retired",
)
CALM = ("watch", "run", "run that fails", "wake", "collect", "disk goes on", "disk works")
HARM = ("disk fails", "disk is slow", "crash", "crash that kept", "owner ends")
WHATEVER: tuple[str | tuple[str, int], ...] = (
    *((change, slot) for change in CHANGES for slot in (0, 1)),
    *(("register and run job", slot) for slot in (0, 1) for _ in range(4)),
    *CALM * 2,
    *HARM,
)
stories = st.lists(st.sampled_from(WHATEVER), min_size=4, max_size=50)


def looks(book: OperationBook) -> tuple[object, ...]:
    """A book without the progress of what goes on, which no fact tells."""
    living = [(o.spec, o.status, o.peer, o.created_at, o.started_at) for o in book.living.values()]
    ended = list(book.ended.values())
    feed = book.feed.list_since(0)
    return living, ended, feed, book.epoch_id, book.agent_applied, book.collected


class Story:
    """What a test does to one session's operations, and what it was promised."""

    def __init__(self) -> None:
        self.log = Log()
        self.doing: list[asyncio.Task[None]] = []
        self.ends: dict[str, OperationOutcome] = {}
        self.told: list[str] = []
        self.jobs: set[str] = set()
        self.names = 0
        self.slots: dict[int, str] = {}
        self.registry = a_registry(self.log, retention=RETENTION)
        self.watchers: list[tuple[str, asyncio.Future[OperationOutcome]]] = []

    # -- what happens --------------------------------------------------------------------------

    def start(self, change: str, slot: int) -> None:
        """Begins a change; it goes on while the story does."""
        if change.startswith("register"):
            self.names += 1
            self.slots[slot] = f"{change}-{self.names}"
        name = self.slots.get(slot, "nobody")
        self.doing.append(asyncio.create_task(self._allowed(self._change(change, name))))

    async def _allowed(self, change: Awaitable[object]) -> None:
        """A change that is refused, or cannot be kept, is nothing that was promised."""
        with suppress(MeerkatError):
            await change

    async def _change(self, change: str, name: str) -> None:
        registry = self.registry
        match change:
            case str() if change.startswith("register"):
                is_job = change.endswith("job")
                kind: OperationKind = "background_tool_op" if is_job else "mob_member_child"
                await registry.register_operation(a_job(name, kind=kind))
                if is_job:
                    self.jobs.add(name)
                if "run" in change:
                    await registry.provisioning_succeeded(name)
            case "provisioned":
                await registry.provisioning_succeeded(name)
            case "ready":
                await registry.peer_ready(name, PeerHandle(peer_name=name))
            case "progress":
                registry.report_progress(name)
            case "retire":
                await registry.request_retire(name)
            case _:
                await self._end(change, name)
                self._promise(name)

    async def _end(self, change: str, name: str) -> None:
        registry = self.registry
        match change:
            case "unprovisioned":
                await registry.provisioning_failed(name, "no room")
            case "abort":
                await registry.abort_provisioning(name)
            case "complete":
                await registry.complete(name, {"by": name})
            case "fail":
                await registry.fail(name, "it broke")
            case "cancel":
                await registry.cancel(name, "not wanted")
            case _:
                await registry.mark_retired(name)

    def _promise(self, name: str) -> None:
        """An acknowledged end is in the feed."""
        found = {e.operation_id: e.outcome for e in self._feed()}
        self.ends[name] = found[name]

    async def do(self, command: str) -> None:
        match command:
            case "watch":
                for shown in self.registry.list_operations():
                    name = shown.spec.id
                    self.watchers.append((name, self.registry.register_watcher(name)))
            case "wake":
                news = self.registry.wake(quiescent=not self.doing)
                assert news is None or (news.jobs and self.registry.wake(quiescent=True) is None)
            case "run":
                await self._run()
            case "run that fails":
                self.registry.news()
            case "collect":
                if self.log.slow is None:
                    await self._allowed(self.registry.collect_completed())
            case "disk fails" | "disk works":
                self.log.failing = command == "disk fails"
            case "disk is slow":
                self.log.slow = self.log.slow or asyncio.get_running_loop().create_future()
            case "disk goes on":
                self._go_on()
            case "owner ends":
                if self.log.slow is None:
                    await self._allowed(self.registry.terminate_owner("over"))
            case _:
                await self._crash(kept=command == "crash that kept")

    async def _run(self) -> None:
        """A request tells what there is; the cursor is kept with the run, or not at all."""
        news = self.registry.news()
        if news is None or self.log.slow is not None:
            return
        try:
            await self.registry.told(news.through)
        except StoreError:
            return
        self.told += [job.operation_id for job in news.jobs]

    def _go_on(self) -> None:
        if self.log.slow is not None and not self.log.slow.done():
            self.log.slow.set_result(None)
        self.log.slow = None

    async def _crash(self, *, kept: bool) -> None:
        """The process ends, and nobody is told what was kept in its last moment, if it was."""
        self.log.lands = "unseen" if kept else "never"
        for task in self.doing:
            task.cancel()
        if self.doing:
            await asyncio.wait(self.doing)
        self.doing, self.watchers = [], []
        self.log.failing, self.log.slow = False, None
        self.registry = a_registry(self.log, retention=RETENTION)
        await self.registry.recover()
        assert not any(s.status in LIVING for s in self.registry.list_operations())

    # -- what holds ----------------------------------------------------------------------------

    def _feed(self) -> tuple[FeedEntry, ...]:
        return self.registry.completion_feed.list_since(0).entries

    def check(self) -> None:
        self.doing = [task for task in self.doing if not task.done()]
        book = self.registry._book
        assert looks(book) == looks(self.log.book(retention=RETENTION))
        entries = self.registry.completion_feed.list_since(0).entries
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        ends = {entry.operation_id: entry.outcome for entry in entries}
        assert len(ends) == len(entries)
        assert ends.items() >= self.ends.items()
        for name, watcher in self.watchers:
            closed = self.registry.completion_feed.closed
            assert watcher.done() == (name in ends or closed)
            if watcher.done():
                told = watcher.result()
                assert told == ends.get(name, told)
                assert name in ends or status_of(told) is OperationStatus.TERMINATED
        jobs = [entry.operation_id for entry in entries if entry.kind == "background_tool_op"]
        assert jobs[: len(self.told)] == self.told

    async def finish(self) -> None:
        """Lets go of what is held, restarts, and runs until there is nothing to tell."""
        self._go_on()
        self.log.failing = False
        await settle()
        self.check()
        await self._crash(kept=False)
        woken = self.registry.wake(quiescent=True)
        assert (woken is None) == (self.registry.news() is None)
        await self._run()
        self.check()
        assert self.registry.news() is None
        assert self.registry.wake(quiescent=True) is None
        assert set(self.told) >= self.jobs


@given(stories)
async def test_whatever_happens_what_was_acknowledged_stays_and_each_end_is_told_once(
    steps: list[str | tuple[str, int]],
) -> None:
    story = Story()
    for step in steps:
        if isinstance(step, str):
            await story.do(step)
        else:
            story.start(*step)
        story.check()
        await settle(2)
        story.check()
    await story.finish()


@given(st.lists(st.sampled_from([m for m in OperationMove if m is not OperationMove.REGISTER])))
def test_no_way_through_the_table_leaves_an_end(moves: list[OperationMove]) -> None:
    status = OperationStatus.PROVISIONING
    for move in moves:
        after = STEPS[move].get(status)
        if after is not None:
            assert status in LIVING
            status = after
