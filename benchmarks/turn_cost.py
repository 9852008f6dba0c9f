"""What a turn of a mob's member costs as its history grows: the ratio should stay near 1.

Runs a scripted member through many turns and compares the median time of a late turn with that of
an early one, in the same process. A design that re-reads its history shows a ratio that grows.

    python -m benchmarks.turn_cost [turns]
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from statistics import median

from benchmarks.figures import compared, tell
from meerkat_mob import open_realm
from meerkat_mob.llm import ScriptedLlm, say
from meerkat_mob.mob.definition import MobDefinition, Profile, ToolConfig

TEAM = MobDefinition(
    id="bench", profiles={"solo": Profile(model="scripted", tools=ToolConfig(comms=True))}
)
ANSWER = say("An answer of a few words, as a member gives it.")


async def time_turns(turns: int) -> list[float]:
    """Seconds of each turn, from the accepted input to its end."""
    spent: list[float] = []
    async with open_realm(llm=ScriptedLlm(lambda _: ANSWER)) as realm:
        mob = await realm.create_mob(TEAM)
        solo = await mob.spawn("solo", "solo")
        for _ in range(turns):
            began = time.perf_counter()
            await solo.ask("A question of a few words, as a person asks it.")
            spent.append(time.perf_counter() - began)
    return spent


def main() -> None:
    """Print the ratio of the medians of the last and the first tenth."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    gc.freeze()
    spent = asyncio.run(time_turns(turns))
    tenth = max(turns // 10, 1)
    early, late = median(spent[:tenth]), median(spent[-tenth:])
    what = f"member's turn in a mob, last tenth of {turns:,} / first"
    tell((compared(what, late, early, aim=1.1),))


if __name__ == "__main__":
    main()
