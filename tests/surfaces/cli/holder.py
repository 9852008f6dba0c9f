"""A process that holds a realm and has turns in it: one for each line of its input."""

import asyncio
import sys
from pathlib import Path

from meerkat_mob import open_realm
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.testing import a_request, a_turn


async def main(folder: Path) -> None:
    """Answers each line once its turn is kept."""
    async with open_realm(folder, llm=ScriptedLlm(lambda _: "noted")) as realm:
        request = a_request(defer=True, session_id="held-1", labels={"role": "lead"})
        await realm.sessions.create_session(request)
        for line in sys.stdin:
            await realm.sessions.start_turn("held-1", a_turn(line.strip()))
            sys.stdout.write("kept\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
