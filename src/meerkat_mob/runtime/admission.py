"""The way into one session's inbox, and out to those who wait for the ends of its inputs.

An input is known or new, is kept, and then is in the queue; nobody is told before. While a change
of the runtime is being kept the door is closed: who comes then waits for it and meets the state
that it made, so no input slips into a queue that has been dealt with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from msgspec import UNSET

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.input_wire import kept_input
from meerkat_mob.core.inputs import Input
from meerkat_mob.runtime.events import Watchers
from meerkat_mob.runtime.facts import accepted, key_of
from meerkat_mob.runtime.inbox import Inbox, InputRecord, Outcome
from meerkat_mob.runtime.log import InboxLog
from meerkat_mob.runtime.policy import Policy


class Waiters:
    """Who waits for the end of which input; each is told once, all of one input the same."""

    def __init__(self) -> None:
        self._futures: dict[str, list[asyncio.Future[Outcome]]] = {}

    def add(self, input_id: str, future: asyncio.Future[Outcome]) -> None:
        """One more; cancelling the future hurts nobody."""
        self._futures.setdefault(input_id, []).append(future)

    def tell(self, record: InputRecord) -> None:
        """The input has ended."""
        for future in self._futures.pop(record.item.header.id, ()):
            if not future.done() and record.outcome is not None:
                future.set_result(record.outcome)


class Admission:
    """Takes inputs into an inbox, each once.

    ``insist`` raises when the runtime takes none; ``at_rest`` says whether an input that asks for
    a run would have one at once; ``came`` is called for each that is in the queue, and when the
    door opens again.
    """

    def __init__(
        self,
        inbox: Inbox,
        waiters: Waiters,
        *,
        session_id: str,
        log: InboxLog,
        watchers: Watchers,
        insist: Callable[[], None],
        at_rest: Callable[[], bool],
        came: Callable[[], None],
    ) -> None:
        self._inbox, self._waiters, self._log = inbox, waiters, log
        self._session_id, self._insist = session_id, insist
        self._watchers, self._at_rest, self._came = watchers, at_rest, came
        self._arriving: dict[str, asyncio.Future[None]] = {}
        self._door = asyncio.Lock()

    @asynccontextmanager
    async def closed(self) -> AsyncGenerator[None, None]:
        """Nobody comes in meanwhile, and no run takes anything out; one such change at a time.

        What is decided of the queue is still true when it has been kept.
        """
        async with self._door:
            self._inbox.is_still = True
            try:
                while self._arriving:
                    await asyncio.wait(set(self._arriving.values()))
                yield
            finally:
                self._inbox.is_still = False
                self._came()

    async def accept(
        self, item: Input, policy: Policy, waiter: asyncio.Future[Outcome] | None
    ) -> str | None:
        """Keeps an input, then queues it: ready, known, bound, in this order (spec sessions 5.3).

        ``waiter`` gets its outcome. Returns the id of the earlier one when it is known. Raises
        what ``insist`` raises, ``InboxFull`` and ``StoreError``; nothing has changed then.
        """
        key = item.header.idempotency_key
        names = [f"id {item.header.id}", *(() if key is UNSET else (f"key {key}",))]
        while True:
            if self._door.locked():
                async with self._door:
                    continue
            self._insist()
            if (existing := self._inbox.known(item)) is not None:
                self._watchers.deduplicated(item, existing)
                return existing
            coming = next((self._arriving[n] for n in names if n in self._arriving), None)
            if coming is None:
                break
            await asyncio.wait([coming])  # the same input, a moment earlier
        return await self._keep(item, policy, names, waiter)

    async def _keep(
        self,
        item: Input,
        policy: Policy,
        names: list[str],
        waiter: asyncio.Future[Outcome] | None,
    ) -> str | None:
        images: tuple[Blob, ...] = ()
        if self._log.lasts:  # elsewhere the transcript keeps them when it is their turn
            item, moved = kept_input(item)
            images = tuple(moved.values())
        begins = policy.wakes and not self._arriving and self._at_rest()
        admission = self._inbox.make_room()
        here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arriving |= dict.fromkeys(names, here)
        key = item.header.idempotency_key
        unique = () if key is UNSET else (key_of(self._session_id, key),)

        def admit() -> None:
            if waiter is not None:
                self._waiters.add(item.header.id, waiter)
            self._watchers.accepted(item)
            self._inbox.admit(item, policy, admission)
            self._came()

        try:
            if item.header.durability != "durable" or policy.consumed == "on_accept":
                admit()  # it can be made anew, or has ended already (DUR-2)
                return None
            existing = await self._log.keep(
                self._session_id,
                (accepted(item, policy, admission, begins=begins),),
                unique=unique,
                blobs=images,
                then=admit,
            )
            if existing is not None:
                self._watchers.deduplicated(item, existing)
            return existing
        finally:
            self._inbox.give_up_room()
            for name in names:
                del self._arriving[name]
            here.set_result(None)
