"""Looks at a realm with the rights of nobody, and says in JSON what it could do.

A process of its own, because rights that were given up do not come back.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from pathlib import Path

from meerkat_mob._target import now_ms
from meerkat_mob.errors import StoreError
from meerkat_mob.store.file import InlineLane, open_file_reader, open_file_store, verify
from meerkat_mob.store.file.flock import flock
from tests.store.kit import said

NOBODY = 65_534


async def write(folder: Path) -> None:
    """One commit."""
    store = await open_file_store(
        folder, clock=now_ms, holder="a visitor", lane=lambda _: InlineLane(), lock=flock
    )
    try:
        await store.commit((said("visited", 0, b"x"),))
    finally:
        await store.aclose()


async def read(folder: Path) -> None:
    """One stream."""
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    try:
        assert len(await reader.read("a")) == 4
    finally:
        await reader.aclose()


async def look(folder: Path) -> None:
    """All of it."""
    assert verify(folder, lock=flock).clean


async def told(what: Awaitable[None]) -> str:
    """The code of the error, or "done"."""
    try:
        await what
    except StoreError as error:
        return error.code
    return "done"


async def main(folder: Path) -> None:
    """Tries it all."""
    answer = {
        "write": await told(write(folder)),
        "read": await told(read(folder)),
        "verify": await told(look(folder)),
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    asyncio.run(main(Path(sys.argv[1])))
