"""Wants a realm again and again, and each time that it gets it commits what nobody else does.

Says in JSON how often it was refused, and what it was told is kept.
"""

import asyncio
import json
import sys
from pathlib import Path

from meerkat_mob._target import now_ms, process_name
from meerkat_mob.errors import RealmLocked
from meerkat_mob.store.file import open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.kit import said

ATTEMPTS = 100


async def main(folder: Path, name: str) -> None:
    """Two records at once, so that what interleaves would be seen."""
    kept: list[str] = []
    refused = 0
    for n in range(ATTEMPTS):
        try:
            store = await open_file_store(
                folder, clock=now_ms, holder=process_name(), lane=ThreadLane, lock=flock
            )
        except RealmLocked:
            refused += 1
            await asyncio.sleep(0)
            continue
        word = f"{name}-{n}"
        pair = (f"{word}-first".encode(), f"{word}-second".encode())
        await store.commit((said("a", await store.revision("a"), *pair, unique=(word,)),))
        await store.aclose()
        kept.append(word)
    sys.stdout.write(json.dumps({"kept": kept, "refused": refused}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
