"""What a history costs: on the disk, when it is read again, and for those who only look.

python -m benchmarks.histories [rounds]
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, compared, take_turns, tell
from benchmarks.realms import ANSWER, KILOBYTE, TURN, a_session, a_store, on_disk, over
from meerkat_mob.core.messages import Message
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.reply import Reply, hang
from meerkat_mob.llm.scripted import ScriptedLlm
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.sessions.facts import SAID
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.store.file.schema import DATABASE

WEIGHED, READ, LOOKED_AT = 400, 1_000, 5_000
OTHERS = 20
HANG = StartTurnRequest(prompt="Say nothing until you are stopped.")


async def with_receipts(service: SessionService, name: str, turns: int) -> None:
    """A session of so many turns, each with the receipt of an input."""
    await a_session(service, name)
    for n in range(turns):
        await service.apply_runtime_turn(name, f"run-{n}", TURN, "run_start", (f"input-{n}",))


async def weight(folder: Path) -> Figure:
    """Bytes of the realm when it is closed."""
    async with on_disk(folder) as service:
        await with_receipts(service, "one", WEIGHED)
    size, payload = (folder / DATABASE).stat().st_size, WEIGHED * 2 * len(KILOBYTE)
    return Figure(
        what=f"bytes of {WEIGHED} turns on disk, receipts included / payload",
        ratio=size / payload,
        aim=1.5,
        ours=f"{size:,}",
        floor=f"{payload:,}",
    )


async def reading(folder: Path, rounds: int) -> tuple[Figure, Figure]:
    """A history of 1,000 turns, read as a message each, by a service that was just opened."""
    async with on_disk(folder) as service:
        await with_receipts(service, "one", READ)
    decode = msgspec.json.Decoder(tuple[Message, ...]).decode
    sql = "SELECT kind, body FROM records WHERE stream = ? ORDER BY seq"

    async def plain() -> None:
        with closing(sqlite3.connect(folder / DATABASE)) as db:
            found: list[Message] = []
            for kind, body in db.execute(sql, (f"{STREAM}one",)):
                if kind == SAID:
                    found += decode(body)
            assert len(found) == 2 * READ

    async def reopened() -> None:
        async with a_store(folder) as store:
            history = await (await over(store)).read_history("one")
            assert len(history.messages) == 2 * READ

    async with a_store(folder) as store:

        async def verified() -> None:
            history = await (await over(store)).read_history("one")
            assert len(history.messages) == 2 * READ

        beside, read = await take_turns(rounds, plain, verified)
    floor, whole = await take_turns(rounds, plain, reopened)
    return (
        compared(f"history of {READ:,} turns read, verified / SELECT, decode", read, beside, aim=2),
        compared("the same, and the realm opened and closed around it", whole, floor, aim=2),
    )


def answer(request: LlmRequest) -> Reply:
    """What everybody answers, but who is to be silent."""
    last = request.messages[-1]
    return hang() if getattr(last, "content", "") == HANG.prompt else ANSWER


async def looking(folder: Path, rounds: int) -> tuple[Figure, Figure]:
    """Looks at sessions of which one has 10,000 messages and a turn that goes on."""
    async with a_store(folder / "young") as one, a_store(folder / "old") as other:
        young, old = await over(one), await over(other, ScriptedLlm(answer))
        for name in ("one", *(f"other-{n}" for n in range(OTHERS))):
            await a_session(young, name)
            await a_session(old, name)
        for _ in range(LOOKED_AT):
            await old.start_turn("one", TURN)
        turn = asyncio.create_task(old.start_turn("one", HANG))
        await asyncio.sleep(0)
        new, read = await take_turns(rounds, lambda: young.read("one"), lambda: old.read("one"))
        query = SessionQuery()
        few, listed = await take_turns(rounds, lambda: young.list(query), lambda: old.list(query))
        await old.interrupt("one")
        await asyncio.gather(turn, return_exceptions=True)
        await old.aclose()
        await young.aclose()
    beside = "10,000 messages and a turn that runs / new"
    return (
        compared(f"read(), {beside}", read, new, aim=1.1),
        compared(f"list() of {OTHERS + 1}, one with {beside}", listed, few, aim=1.1),
    )


def figures(rounds: int) -> Generator[Figure, None, None]:
    """All of them, one after another."""
    with tempfile.TemporaryDirectory() as place:
        yield asyncio.run(weight(Path(place, "weight")))
        yield from asyncio.run(reading(Path(place, "reading"), rounds))
        yield from asyncio.run(looking(Path(place, "looking"), 100 * rounds))


def main() -> None:
    """Print the ratios."""
    tell(figures(int(sys.argv[1]) if len(sys.argv) > 1 else 20))


if __name__ == "__main__":
    main()
