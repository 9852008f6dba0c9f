"""A process that takes a realm, has turns in it, and gives it back, as it is told on its input.

``open``, ``close``, or a prompt for the one session. It answers each with a word: ``open``,
``closed``, ``kept``, or the code it was refused with.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from meerkat_mob.errors import MeerkatError, RealmLocked
from meerkat_mob.sessions import PersistentSessionService
from meerkat_mob.store.file import FileStore
from meerkat_mob.testing import a_request, a_turn
from tests.sessions.host.worker import opened, serve

ID: Final = "shared"


class Holder:
    """What it has of the realm."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: tuple[FileStore, PersistentSessionService] | None = None

    async def obey(self, word: str) -> str:
        try:
            return await self._obey(word)
        except RealmLocked as error:
            return f"{error.code} {error.holder}"
        except MeerkatError as error:
            return error.code

    async def _obey(self, word: str) -> str:
        if word == "open":
            store = await opened(self._folder)
            self._open = store, await serve(store)
            return "open"
        assert self._open is not None
        store, service = self._open
        if word == "close":
            await service.aclose()
            await store.aclose()
            self._open = None
            return "closed"
        if await service.load_persisted_session(ID) is None:
            await service.create_session(a_request(defer=True, session_id=ID))
        await service.start_turn(ID, a_turn(word))
        return "kept"


async def main(folder: Path) -> None:
    """Obeys until its input ends."""
    holder = Holder(folder)
    for line in sys.stdin:
        sys.stdout.write(f"{await holder.obey(line.strip())}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
