"""What a turn of a mob's member costs as its history grows: the ratio should stay near 1.

A scripted member that has taken many turns takes turns with members that have taken ten. A design
that re-reads its history shows a ratio that grows with it.

    python -m benchmarks.turn_cost [turns]
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

import msgspec

from benchmarks.figures import Figure, compared, take_turns, tell
from meerkat_mob import open_realm
from meerkat_mob.llm import ScriptedLlm, say
from meerkat_mob.mob.definition import MobDefinition, Profile, ToolConfig

TEAM = MobDefinition(
    id="old", profiles={"solo": Profile(model="scripted", tools=ToolConfig(comms=True))}
)
QUESTION = "A question of a few words, as a person asks it."
ANSWER = say("An answer of a few words, as a member gives it.")
ROUNDS, YOUNG = 500, 10


async def old_and_young(turns: int) -> Figure:
    """A turn from the accepted input to its end."""
    async with open_realm(llm=ScriptedLlm(lambda _: ANSWER)) as realm:
        old = await (await realm.create_mob(TEAM)).spawn("solo", "old")
        for _ in range(turns):
            await old.ask(QUESTION)
        mob = await realm.create_mob(msgspec.structs.replace(TEAM, id="young"))
        young = [await mob.spawn("solo", f"young-{n}") for n in range(ROUNDS // 20 + 1)]
        for member in young:
            for _ in range(YOUNG // 2):
                await member.ask(QUESTION)
        numbers = count()

        async def next_young() -> None:
            await young[next(numbers) // 20].ask(QUESTION)

        early, late = await take_turns(ROUNDS, next_young, lambda: old.ask(QUESTION))
    return compared(f"member's turn {turns:,} in a mob / turn {YOUNG}", late, early, aim=1.1)


def main() -> None:
    """Print the ratio."""
    tell((asyncio.run(old_and_young(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)),))


if __name__ == "__main__":
    main()
