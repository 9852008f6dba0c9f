"""What a turn of a session costs: in memory, kept on a disk, among a hundred others, and late.

A turn is ``SessionService.start_turn`` with a scripted model. Kept ones have a kilobyte of prompt
and one of answer; the floor is a commit of the same bytes into a bare database beside it.

    python -m benchmarks.turns [rounds]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Generator
from itertools import count
from pathlib import Path

from benchmarks.figures import Figure, compared, take_turns, tell
from benchmarks.realms import (
    SHORT,
    SHORT_ANSWER,
    TURN,
    a_bare_database,
    a_session,
    a_store,
    bare_commit,
    in_memory,
    on_disk,
    over,
)
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.llm.scripted import ScriptedLlm
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.store import Store

TOGETHER = 100
OLD, YOUNG = 10_000, 10


async def _nothing() -> None:
    pass


async def a_task() -> None:
    """The floor of everything that runs."""
    await asyncio.create_task(_nothing())


async def memory(rounds: int) -> Figure:
    """A turn of a few words, of which nothing is kept."""
    service = in_memory(ScriptedLlm(lambda _: SHORT_ANSWER))
    name = await a_session(service, "one")
    floor, ours = await take_turns(rounds * 10, a_task, lambda: service.start_turn(name, SHORT))
    await service.aclose()
    return compared("turn in memory / task created and awaited", ours, floor, aim=20)


async def kept(folder: Path, rounds: int) -> tuple[Figure, Figure]:
    """One session alone, and a hundred at once; each beside bare commits."""
    async with a_store(folder / "realm") as store:
        service = await over(store)
        one = await a_session(service, "one")
        many = [await a_session(service, f"many-{n}") for n in range(TOGETHER)]
        await service.start_turn(one, TURN)
        body = bytes(await bytes_of_last_turn(store, one))
        with a_bare_database(folder) as db:

            async def bare() -> None:
                bare_commit(db, body)

            async def together() -> None:
                await asyncio.gather(*(service.start_turn(name, TURN) for name in many))

            floor, alone = await take_turns(rounds, bare, lambda: service.start_turn(one, TURN))
            beside, all_of_them = await take_turns(rounds // 10, bare, together)
        await service.aclose()
    return (
        compared("turn kept, one session / bare commit of its bytes", alone, floor, aim=2),
        compared(
            f"turn kept, {TOGETHER} sessions at once, each / bare commit",
            all_of_them / TOGETHER,
            beside,
            aim=0.7,
        ),
    )


async def bytes_of_last_turn(store: Store, name: str) -> int:
    """What the one turn so far wrote: its records and the head."""
    records = await store.read(STREAM + name, after=2)
    head = await store.head(STREAM + name)
    return sum(len(record.body) for record in records) + len(head.summary if head else b"")


async def late(what: str, service: SessionService, turn: StartTurnRequest, rounds: int) -> Figure:
    """Turns 10,000 and later of one session beside the tenth turns of others."""
    old, numbers = await a_session(service, "old"), count()
    for _ in range(OLD):
        await service.start_turn(old, turn)
    young = [await a_session(service, f"young-{n}") for n in range(rounds // 5 + 2)]
    for name in young:
        for _ in range(YOUNG - 3):
            await service.start_turn(name, turn)

    async def next_young() -> None:
        await service.start_turn(young[next(numbers) // 5], turn)

    early, late = await take_turns(rounds, next_young, lambda: service.start_turn(old, turn))
    return compared(f"turn {OLD:,} / turn {YOUNG}, {what}", late, early, aim=1.1)


def figures(rounds: int) -> Generator[Figure, None, None]:
    """All of them, one after another."""
    yield asyncio.run(memory(rounds))
    with tempfile.TemporaryDirectory() as place:
        yield from asyncio.run(kept(Path(place), rounds))
        yield asyncio.run(late_in_memory(rounds))
        yield asyncio.run(late_on_disk(Path(place), rounds))


async def late_in_memory(rounds: int) -> Figure:
    """The same turns as those that are kept."""
    service = in_memory()
    figure = await late("in memory", service, TURN, rounds)
    await service.aclose()
    return figure


async def late_on_disk(folder: Path, rounds: int) -> Figure:
    """A history of twenty megabytes."""
    async with on_disk(folder / "late") as service:
        return await late("kept", service, TURN, rounds)


def main() -> None:
    """Print the ratios."""
    tell(figures(int(sys.argv[1]) if len(sys.argv) > 1 else 500))


if __name__ == "__main__":
    main()
