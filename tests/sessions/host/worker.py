"""Processes in which eight sessions take turns until they are killed.

Run as a program it forks a worker for each line it reads: folder, how to die, at which moment. The
worker says on the pipe which calls were acknowledged, as soon as they are: ``kept 3 7`` is that
session 3 has done what comes before its turn 3, and ``kept 3 8`` that the turn is over too.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from meerkat_mob._target import now_ms, process_name
from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Ids
from meerkat_mob.core.repair import open_calls
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.reserved import ARCHIVED
from meerkat_mob.core.session import Session
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides
from meerkat_mob.store import Append, Head, Install, Record, Store
from meerkat_mob.store.file import FileStore, open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from meerkat_mob.testing import ScriptedLlm, a_request, a_tool_that_echoes
from meerkat_mob.testing.builders import a_persistent_service
from tests.sessions.host.talk import (
    ARCHIVED_AT,
    SESSIONS,
    answer,
    aside,
    forms_of,
    has_aside,
    has_note,
    has_receipt,
    name_of,
    prompt,
    run_of,
    turns_of,
)

TURNS: Final = 4
"""Of each session, in one life of a worker."""
TOOLS: Final = (a_tool_that_echoes(),)


class Moments(Store):
    """A store that counts: a commit is asked for, is kept, and was told. It may end the process."""

    def __init__(self, store: Store, *, last: int) -> None:
        self._store, self._last = store, last
        self.passed = 0

    def _pass(self) -> None:
        self.passed += 1
        if self.passed == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        def kept(records: tuple[Record, ...]) -> None:
            self._pass()
            if install is not None:
                install(records)

        self._pass()
        records = await self._store.commit(appends, blobs=blobs, install=kept)
        self._pass()
        return records

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        return await self._store.read(stream, after=after, limit=limit)

    async def revision(self, stream: str) -> int:
        return await self._store.revision(stream)

    async def head(self, stream: str) -> Head | None:
        return await self._store.head(stream)

    async def heads(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> tuple[Head, ...]:
        return await self._store.heads(prefix, after=after, limit=limit)

    async def blob(self, blob_id: str) -> Blob | None:
        return await self._store.blob(blob_id)

    async def aclose(self) -> None:
        await self._store.aclose()


class Talk:
    """One session, which goes on from where it was left."""

    def __init__(self, service: PersistentSessionService, number: int) -> None:
        self._service, self._number, self._name = service, number, name_of(number)

    async def go_on(self) -> None:
        stored = await self._service.load_persisted_session(self._name)
        if stored is None:
            request = a_request(defer=True, session_id=self._name, tools=TOOLS)
            await self._service.create_session(request)
            self._say(1)
        elif ARCHIVED.read(stored.metadata):
            return
        else:
            await self._service.resume_session(self._name, RecoveryOverrides(external_tools=TOOLS))
        await self._take_turns(stored)

    async def _take_turns(self, stored: Session | None) -> None:
        view = await self._service.read(self._name)
        messages = () if stored is None else stored.messages
        assert view.state.message_count == len(messages)
        done = turns_of(forms_of(messages))
        left = stored is not None and (
            stored.history.has_pending_boundary or bool(open_calls(stored.history))
        )
        for turn in range(done, done + TURNS):
            if ARCHIVED_AT.get(self._number) == turn:
                await self._service.archive(self._name)
                self._say(2 * turn + 1)
                return
            if not left:
                await self._prepare(turn)
            await self._turn(turn, left=left)
            left = False

    async def _prepare(self, turn: int) -> None:
        """What comes before a turn; a second time it does nothing."""
        if has_note(turn):
            await self._service.append_system_context(
                self._name, f"Note {turn}.", idempotency_key=f"note {turn}"
            )
            self._say(2 * turn + 1)
        if has_aside(turn):
            text = aside(self._number, turn)
            document = await self._service.export_session(self._name)
            if text not in (document.history.system_prompt or ""):
                note = PendingAppend(text=text, accepted_at=now_ms())
                await self._service.apply_runtime_context_appends(
                    self._name, f"for {run_of(self._number, turn)}", (note,), ()
                )
            self._say(2 * turn + 1)

    async def _turn(self, turn: int, *, left: bool) -> None:
        """A turn; one that was left halfway is not asked for a second time, but goes on."""
        request = StartTurnRequest(prompt=prompt(self._number, turn))
        if left:
            request = StartTurnRequest(execution_kind="resume_pending")
        if has_receipt(turn):
            run = run_of(self._number, turn)
            output = await self._service.apply_runtime_turn(
                self._name, run, request, "run_start", (f"input {turn}",)
            )
            document = await self._service.export_session(self._name)
            assert output.receipt.conversation_digest == document.history.digest()
        else:
            await self._service.start_turn(self._name, request)
        self._say(2 * turn + 2)

    def _say(self, count: int) -> None:
        os.write(1, f"kept {self._number} {count}\n".encode())


async def opened(folder: Path) -> FileStore:
    return await open_file_store(
        folder, clock=now_ms, holder=process_name(), lane=ThreadLane, lock=flock
    )


async def serve(store: Store) -> PersistentSessionService:
    """A service whose sessions all talk as planned."""
    ids = Ids(now_ms, os.urandom)
    return await a_persistent_service(ScriptedLlm(answer), store, clock=now_ms, ids=ids)


async def work(folder: Path, last: int) -> int:
    """All sessions at once. How many moments there were."""
    store = Moments(await opened(folder), last=last)
    service = await serve(store)
    os.write(1, b"open\n")
    async with asyncio.TaskGroup() as group:
        for number in range(SESSIONS):
            group.create_task(Talk(service, number).go_on())
    await service.aclose()
    await store.aclose()
    return store.passed


def live(folder: Path, how: str, at: int) -> None:
    """A worker's whole life. It is killed ``at`` a moment, or lives to its end."""
    passed = asyncio.run(work(folder, at if how == "killed" else 0))
    os.write(1, f"wrote {passed}\n".encode())


def main() -> None:
    """Forks a worker for each line."""
    for line in sys.stdin:
        folder, how, at = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                live(Path(folder), how, int(at))
            except BaseException as error:  # it must not be taken for one that was killed
                os.write(1, f"broke: {error!r}\n".encode())
                raise
            finally:
                os._exit(0)
        os.write(1, f"born {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()
