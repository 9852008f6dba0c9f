"""A process whose sessions write to a disk that fails. Run as ``python -m … KIND CODE``.

For each of a turn, a note and an archiving, every call of a kind below the store fails: once, or,
when the disk is full, from that call on until there is room again. It says in JSON what came of it.
It is a process of its own because what it puts under SQLite stays.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from meerkat_mob.core.messages import Message
from meerkat_mob.errors import SessionNotFound, StoreFailed
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides, SessionQuery
from meerkat_mob.sessions.fold import STREAM, Fold, summary_from
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store import Store
from meerkat_mob.store.file import verify
from meerkat_mob.store.file.flock import flock
from meerkat_mob.testing import a_request, a_turn
from tests.sessions.host.talk import forms_of, prompt
from tests.sessions.host.worker import TOOLS, opened, serve
from tests.store.host.sqlite_vfs import FULL, OK, Disk

ID: Final = "s0"
Act = Callable[[PersistentSessionService], Awaitable[object]]


async def turn(service: PersistentSessionService) -> object:
    """One with a tool: two checkpoints and an end."""
    return await service.start_turn(ID, a_turn(prompt(0, 1)))


async def note(service: PersistentSessionService) -> object:
    return await service.append_system_context(ID, "Note.", idempotency_key="note")


async def archive(service: PersistentSessionService) -> object:
    await service.archive(ID)
    return None


ACTS: Final[Mapping[str, Act]] = {"turn": turn, "note": note, "archive": archive}


async def stored(store: Store) -> SessionState:
    """What the disk says."""
    fold = Fold(ID)
    fold.add(await store.read(STREAM + ID))
    return fold.state()


async def shown(service: PersistentSessionService) -> tuple[Message, ...]:
    """What the service says, which must be the same however it is asked."""
    history = await service.read_history(ID)
    view = await service.read(ID)
    assert view.state.message_count == history.message_count == len(history.messages)
    assert not view.state.is_active
    for summary in await service.list(SessionQuery()):
        assert summary.message_count == history.message_count
    return history.messages


async def listed(service: PersistentSessionService) -> bool:
    return bool(await service.list(SessionQuery()))


async def fail_at(
    disk: Disk, folder: Path, act: Act, *, kind: str, code: int, at: int
) -> tuple[bool, bool]:
    """One call fails, or all from it on. Whether it was reached, and whether the act was refused.

    Raises ``AssertionError`` for what does not hold then.
    """
    store = await opened(folder)
    service = await serve(store)
    await service.create_session(a_request(prompt(0, 0), session_id=ID, tools=TOOLS))
    before, calls, refused = await shown(service), 0, False

    def say(asked: str) -> int:
        nonlocal calls
        calls += asked == kind
        fails = calls >= at if code == FULL else calls == at
        return code if asked == kind and fails else OK

    disk.before = say
    try:
        await act(service)
    except StoreFailed:
        refused = True
        await _nothing_ran_ahead(service, store, before)
    disk.before = lambda _: OK
    if refused:
        await act(service)
    await _it_goes_on(service, act)
    messages = (await service.export_session(ID)).messages
    forms_of(messages)  # each call has its result
    await service.aclose()
    await store.aclose()
    report = verify(folder, lock=flock, folds={STREAM: summary_from})
    assert report.clean, report.findings
    await _found_again(folder, tuple(messages))
    return calls >= at, refused


async def _nothing_ran_ahead(
    service: PersistentSessionService, store: Store, before: tuple[Message, ...]
) -> None:
    """Memory shows what the disk holds: all that was before, and no more than was kept since."""
    kept = await stored(store)
    assert await shown(service) == tuple(kept.transcript.view())
    assert (await shown(service))[: len(before)] == before
    assert not kept.archived
    assert not kept.context.seen
    assert await listed(service)


async def _it_goes_on(service: PersistentSessionService, act: Act) -> None:
    if act is archive:
        assert not await listed(service)
        try:
            await service.start_turn(ID, a_turn(prompt(0, 2)))
        except SessionNotFound:
            return
        raise AssertionError("an archived session took a turn")
    await service.start_turn(ID, a_turn(prompt(0, 2)))
    if act is note:
        assert await note(service) == "duplicate"


async def _found_again(folder: Path, messages: tuple[Message, ...]) -> None:
    store = await opened(folder)
    service = await serve(store)
    assert await shown(service) == messages
    if await listed(service):
        await service.resume_session(ID, RecoveryOverrides(external_tools=TOOLS))
        await service.start_turn(ID, a_turn(prompt(0, 4)))
    await service.aclose()
    await store.aclose()


async def fail(disk: Disk, place: Path, kind: str, code: int) -> dict[str, object]:
    """Each call of a kind fails, in each act. How many were tried, how many acts were refused."""
    tried: dict[str, object] = {}
    wrong: list[str] = []
    for name, act in ACTS.items():
        at, count = 0, 0
        reached = True
        while reached and len(wrong) < 3:
            at += 1
            folder = place / f"{name}-{at}"
            try:
                reached, refused = await fail_at(disk, folder, act, kind=kind, code=code, at=at)
                count += refused
            except Exception as error:
                disk.before = lambda _: OK
                wrong.append(f"{name} {at}: {error!r}")
        tried[name] = [at - 1, count]
    return {"tried": tried, "wrong": wrong}


def main() -> None:
    """See the module."""
    disk = Disk().install()
    kind, code = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        told = asyncio.run(fail(disk, Path(place), kind, int(code)))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
