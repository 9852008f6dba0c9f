"""What a team costs: members that come, events that many watch, a mob that comes back.

python -m benchmarks.teams [rounds]
"""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from contextlib import aclosing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, compared, take_turns, tell
from meerkat_mob import open_realm
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import SpawnSpec
from meerkat_mob.mob.definition import MobDefinition, Profile, ToolConfig
from meerkat_mob.mob.kept import kept_events
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.store import StoreReader

MEMBERS, WATCHERS, FACTS, KEPT = 1_000, 100, 200, 100
TEAM = MobDefinition(
    id="team", profiles={"dev": Profile(model="scripted", tools=ToolConfig(comms=True))}
)


def a_model() -> ScriptedLlm:
    """It says the same to everybody."""
    return ScriptedLlm(lambda _: "ok")


async def spawning(rounds: int, folder: Path | None = None) -> Figure:
    """Members that nobody wires, beside as many tasks that are made and awaited.

    In a folder they come side by side, as a program that needs many of them asks for them: each is
    kept on the disk before it is there.
    """
    numbers = count()

    async def nothing() -> None:
        pass

    async def floor() -> None:
        for _ in range(MEMBERS):
            await asyncio.create_task(nothing())

    opening = open_realm(llm=a_model()) if folder is None else open_realm(folder, llm=a_model())
    async with opening as realm:
        mob = await realm.create_mob(TEAM)

        async def ours() -> None:
            specs = [
                SpawnSpec(profile="dev", member_id=f"m{next(numbers)}") for _ in range(MEMBERS)
            ]
            if folder is None:
                for spec in specs:
                    await mob.spawn_spec(spec)
            else:
                await mob.spawn_many(specs)

        bare, spent = await take_turns(rounds, floor, ours)
    where = "in memory" if folder is None else "in a folder"
    what = f"{MEMBERS:,} members {where} / create_task and await"
    return compared(what, spent, bare, aim=15)


async def _room() -> None:
    async with open_realm(llm=a_model()) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("dev", "first")
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(MEMBERS):
            await mob.spawn("dev", f"m{number}")
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"a member in memory: {(after - before) / MEMBERS / 1024:.1f} KiB (aim 8)")


async def watching(rounds: int) -> Figure:
    """Facts that a hundred read as they come, beside a hundred queues that get them."""
    async with open_realm(llm=a_model()) as realm:
        mob = await realm.create_mob(TEAM)

        async def ours() -> None:
            start = (await mob.poll_events(limit=1_000_000))[-1].cursor

            async def read() -> None:
                async with aclosing(mob.events(after=start)) as events:
                    async for event in events:
                        if getattr(event, "cursor", 0) >= start + FACTS:
                            return

            readers = [asyncio.create_task(read()) for _ in range(WATCHERS)]
            await asyncio.sleep(0)
            for _ in range(FACTS):
                await mob.tasks.create("dig")
            await asyncio.gather(*readers)

        async def floor() -> None:
            queues = [asyncio.Queue[int]() for _ in range(WATCHERS)]

            async def read(queue: asyncio.Queue[int]) -> None:
                for _ in range(FACTS):
                    await queue.get()

            readers = [asyncio.create_task(read(queue)) for queue in queues]
            for number in range(FACTS):
                for queue in queues:
                    queue.put_nowait(number)
                await asyncio.sleep(0)
            await asyncio.gather(*readers)

        bare, spent = await take_turns(rounds, floor, ours)
    what = f"{FACTS} facts to {WATCHERS} watchers / as many queues"
    return compared(what, spent, bare, aim=5)


async def coming_back(rounds: int, folder: Path) -> Figure:
    """A mob of a hundred, beside reading all that is kept of it."""
    async with open_realm(folder, llm=a_model()) as realm:
        mob = await realm.create_mob(TEAM)
        for number in range(KEPT):
            member = await mob.spawn("dev", f"m{number}")
            await member.ask("hello")

    async with open_realm(folder, llm=a_model()) as realm, realm_from_outside(folder) as outside:

        async def ours() -> None:
            await (await realm.resume_mob("team")).shutdown()

        async def floor() -> None:
            await _read_all(outside.reader)

        bare, spent = await take_turns(rounds, floor, ours)
    what = f"a mob of {KEPT} comes back / its records are read"
    return compared(what, spent, bare, aim=10)


async def _read_all(reader: StoreReader) -> None:
    async with aclosing(kept_events(reader, "team")) as events:
        async for _ in events:
            pass
    for head in await reader.heads(STREAM):
        await reader.read(head.stream)


async def main() -> None:
    """Print each figure with its floor."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    figures = [await spawning(rounds), await watching(rounds)]
    with TemporaryDirectory() as folder:
        figures.append(await spawning(rounds, Path(folder) / "spawned"))
        figures.append(await coming_back(rounds, Path(folder) / "realm"))
    tell(figures)
    await _room()


if __name__ == "__main__":
    asyncio.run(main())
