"""A process that opens a realm, says so, and holds it until its input ends."""

import asyncio
import sys
from pathlib import Path

from meerkat_mob._target import now_ms, process_name
from meerkat_mob.errors import MeerkatError
from meerkat_mob.store.file import open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.kit import said


async def main(folder: Path) -> None:
    """Opens, commits once for each line, and closes."""
    try:
        store = await open_file_store(
            folder, clock=now_ms, holder=process_name(), lane=ThreadLane, lock=flock
        )
    except MeerkatError as error:
        sys.stdout.write(f"{error.code}\n")
        return
    sys.stdout.write("open\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        try:
            await store.commit((said("a", await store.revision("a"), b"x"),))
            sys.stdout.write("kept\n")
        except MeerkatError as error:
            sys.stdout.write(f"{error.code}\n")
        sys.stdout.flush()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
