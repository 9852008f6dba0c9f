"""What the inbox adds to a turn, and what it costs to say the same thing twice.

Inputs are durable and have a kilobyte; the sessions are those of ``benchmarks.turns``. Beside an
input stand a turn that nobody put through an inbox and one bare commit: the acceptance must be on
the disk before the sender is told.

    python -m benchmarks.inbox [rounds]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

from msgspec import UNSET

from benchmarks.figures import Figure, compared, take_turns, tell
from benchmarks.realms import (
    KILOBYTE,
    TURN,
    a_bare_database,
    a_session,
    a_store,
    bare_commit,
    over,
)
from meerkat_mob._target import now_ms
from meerkat_mob.core.ids import Ids
from meerkat_mob.core.inputs import InputHeader, OperatorSource, PromptInput
from meerkat_mob.runtime import (
    Deduplicated,
    Outcome,
    RuntimeSessionAdapter,
    SessionExecutor,
    decide,
)
from meerkat_mob.runtime.facts import accepted, key_of
from meerkat_mob.runtime.log import StreamLog
from meerkat_mob.sessions import SessionService
from meerkat_mob.sessions.fold import STREAM

SESSIONS, EACH = 100, 10
_ids = Ids(now_ms, os.urandom)


def an_input(key: str | None = None) -> PromptInput:
    """A kilobyte from a person."""
    header = InputHeader(
        id=_ids(),
        timestamp=now_ms(),
        source=OperatorSource(),
        idempotency_key=UNSET if key is None else key,
    )
    return PromptInput(header=header, content=KILOBYTE)


async def an_inbox(service: SessionService, *names: str) -> RuntimeSessionAdapter:
    """Durable inboxes for sessions, each with somebody who runs what they take."""
    adapter = RuntimeSessionAdapter.persistent(service, ids=_ids)
    for name in names:
        await adapter.register_session(name, SessionExecutor(service, name))
    return adapter


async def through(adapter: RuntimeSessionAdapter, name: str, key: str | None = None) -> Outcome:
    """One input from its acceptance to its end."""
    _, ended = await adapter.accept_input_with_completion(name, an_input(key))
    if ended is None:
        raise AssertionError("a new input was taken for an old one")
    return await ended


async def one_input(folder: Path, rounds: int) -> Figure:
    """Accepted, run and committed, beside the same turn and a commit of the input's bytes."""
    async with a_store(folder / "one") as store:
        service = await over(store)
        plain, name = await a_session(service, "plain"), await a_session(service, "one")
        adapter = await an_inbox(service, name)
        with a_bare_database(folder) as db:

            async def floor() -> None:
                bare_commit(db, KILOBYTE.encode())
                await service.start_turn(plain, TURN)

            spent = await take_turns(rounds, floor, lambda: through(adapter, name))
        await adapter.aclose()
        await service.aclose()
    return compared("input accepted, run, kept / turn kept + bare commit", *spent[::-1], aim=1.1)


async def a_duplicate(folder: Path, rounds: int) -> tuple[Figure, Figure]:
    """A key that memory knows, and one that only the store knows any more; neither writes."""
    async with a_store(folder / "duplicate") as store:
        service = await over(store)
        name = await a_session(service, "one")
        adapter = await an_inbox(service, name)
        await through(adapter, name, key="k")
        known = {f"key {n}": n for n in range(1000)}

        async def floor() -> None:
            if known.get("key 7"):
                await store.read(STREAM + name, limit=1)

        before = await store.head(STREAM + name)
        remembered = await take_turns(rounds, floor, lambda: _refused(adapter, name))
        log, item = StreamLog(service), an_input("k")
        policy = decide(item, silent_intents=(), keep_alive=False)
        fact, key = accepted(item, policy, 1), key_of(name, "k")

        async def forgotten() -> None:
            if await log.keep(name, (fact,), unique=(key,)) is None:
                raise AssertionError("an old input was taken for a new one")

        from_the_store = await take_turns(rounds, floor, forgotten)
        if await store.head(STREAM + name) != before:
            raise AssertionError("a duplicate was written")
        await adapter.aclose()
        await service.aclose()
    what = "duplicate that {} knows / look-up + one read"
    return (
        compared(what.format("memory"), *remembered[::-1], aim=1),
        compared(what.format("only the store"), *from_the_store[::-1], aim=3),
    )


async def _refused(adapter: RuntimeSessionAdapter, name: str) -> None:
    if not isinstance(await adapter.accept_input(name, an_input("k")), Deduplicated):
        raise AssertionError("an old input was taken for a new one")


async def many(folder: Path, rounds: int) -> Figure:
    """A hundred sessions with ten inputs each, beside the same turns without inboxes."""
    async with a_store(folder / "many") as store:
        service = await over(store)
        plain = [await a_session(service, f"plain-{n}") for n in range(SESSIONS)]
        names = [await a_session(service, f"one-{n}") for n in range(SESSIONS)]
        adapter = await an_inbox(service, *names)

        async def turns() -> None:
            await _all(plain, lambda name: service.start_turn(name, TURN), at_once=False)

        async def inputs() -> None:
            await _all(names, lambda name: through(adapter, name), at_once=True)

        spent = await take_turns(max(rounds // 50, 3), turns, inputs)
        await adapter.aclose()
        await service.aclose()
    what = f"{SESSIONS} sessions, {EACH} inputs each / the same turns without inboxes"
    return compared(what, *spent[::-1], aim=2)


async def _all(
    names: list[str], work: Callable[[str], Awaitable[object]], *, at_once: bool
) -> None:
    async def of_one(name: str) -> None:
        if at_once:
            await asyncio.gather(*(work(name) for _ in range(EACH)))
        else:
            for _ in range(EACH):
                await work(name)

    await asyncio.gather(*(of_one(name) for name in names))


def figures(rounds: int) -> Generator[Figure, None, None]:
    """All of them, one after another."""
    with tempfile.TemporaryDirectory() as place:
        yield asyncio.run(one_input(Path(place), rounds))
        yield from asyncio.run(a_duplicate(Path(place), rounds))
        yield asyncio.run(many(Path(place), rounds))


def main() -> None:
    """Print the ratios."""
    tell(figures(int(sys.argv[1]) if len(sys.argv) > 1 else 500))


if __name__ == "__main__":
    main()
