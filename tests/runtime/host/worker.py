"""Processes whose sessions are sent inputs until they are killed.

Run as a program it forks a worker for each line it reads: folder, how to die, at which moment. The
worker says on the pipe what a sender was told, as soon as it is: ``kept 2003 1`` is that input 3 of
session 2 was accepted, ``kept 2003 2`` that it was completed, ``kept 2003 3`` that it was given up.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob._target import now_ms
from meerkat_mob.core.ids import Ids
from meerkat_mob.core.inputs import (
    ExternalEventInput,
    ExternalSource,
    Input,
    InputHeader,
)
from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.reply import Reply, call, say
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    Deduplicated,
    Outcome,
    RuntimeSessionAdapter,
    SessionExecutor,
)
from meerkat_mob.runtime.inbox import CompletedWithoutResult
from meerkat_mob.runtime.recovery import InboxFold
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides
from meerkat_mob.testing import ScriptedLlm, a_request, a_tool_that_echoes
from meerkat_mob.testing.builders import a_peer_message, a_persistent_service, a_prompt
from tests.sessions.host.talk import name_of
from tests.sessions.host.worker import Moments, opened

SESSIONS: Final = 4
INPUTS: Final = 7
"""Of each session, in one life of a worker."""
RESENT: Final = 10
"""How many of the inputs of earlier lives are sent once more."""
KINDS: Final = 7
ACCEPTED, COMPLETED, GIVEN_UP = 1, 2, 3
TOOLS: Final = (a_tool_that_echoes(),)
_PLACE: Final = re.compile(r"<(\d+)\.(\d+)>")


# -- what is sent ------------------------------------------------------------------------------


def id_of(session: int, number: int) -> str:
    return f"in-{session}.{number}"


def code_of(session: int, number: int) -> int:
    """An input's number on the pipe."""
    return 1000 * session + number


def place_of(session: int, number: int) -> str:
    """What stands in the message of an input, and in no other."""
    return f"<{session}.{number}>"


def places_in(text: str) -> list[str]:
    return [match[0] for match in _PLACE.finditer(text)]


def has_key(number: int) -> bool:
    return number % KINDS not in (3, 5)


def steers(number: int) -> bool:
    return number % KINDS in (3, 4)


def an_input(session: int, number: int, *, again: str = "") -> Input:
    """An input by its number. ``again`` makes it another one with the key of the first."""
    input_id, place = id_of(session, number) + again, place_of(session, number)
    match number % KINDS:
        case 0 | 6:
            item: Input = a_prompt(f"Do {place}.", input_id)
        case 1:
            item = a_peer_message(f"Says {place}.", input_id)
        case 3:
            item = a_prompt(f"At once {place}.", input_id, mode="steer")
        case 4:
            item = a_peer_message(f"By the way {place}.", input_id, mode="steer")
        case _:
            header = InputHeader(
                id=input_id, timestamp=now_ms(), source=ExternalSource(source_name="sensor")
            )
            item = ExternalEventInput(header=header, event_type="news", payload=f"Saw {place}.")
    key = f"key {place}" if has_key(number) else UNSET
    header = msgspec.structs.replace(item.header, idempotency_key=key)
    return msgspec.structs.replace(item, header=header)


def answer(request: LlmRequest) -> Reply:
    """What the model says: it looks up what every third input says, and answers."""
    last = request.messages[-1]
    if isinstance(last, UserMessage):
        place = _PLACE.search(text_of_message(last))
        if place is not None and int(place[2]) % 3 == 0:
            return call("echo", place=f"{place[1]}.{place[2]}")
    return say("Done.")


# -- a worker ----------------------------------------------------------------------------------


class Sender:
    """Sends the inputs of one session, from where the last worker was."""

    def __init__(
        self, service: PersistentSessionService, adapter: RuntimeSessionAdapter, session: int
    ) -> None:
        self._service, self._adapter = service, adapter
        self._session, self._name = session, name_of(session)

    async def go_on(self) -> None:
        """All inputs of a life. It is over when the session has come to rest."""
        if await self._service.load_persisted_session(self._name) is None:
            await self._service.create_session(
                a_request(defer=True, session_id=self._name, tools=TOOLS)
            )
        else:
            overrides = RecoveryOverrides(external_tools=TOOLS)
            await self._service.resume_session(self._name, overrides)
        sent = await self._sent()
        executor = SessionExecutor(self._service, self._name)
        await self._adapter.register_session(self._name, executor, keep_alive=True)
        async with asyncio.TaskGroup() as waiting:
            for number in filter(has_key, range(max(0, sent - RESENT), sent)):
                await self._send_again(number, waiting)
            for number in range(sent, sent + INPUTS):
                await self._send(number, waiting)
        await self._adapter.activity.until(lambda: not self._adapter.is_busy(self._name))

    async def _sent(self) -> int:
        """How many inputs earlier workers have sent. They are sent in their order."""
        fold, after = InboxFold(), 0
        while page := await self._service.read_facts(self._name, after=after):
            fold.add(page)
            after = page[-1].seq
        sent = len(fold.inputs)
        assert set(fold.inputs) == {id_of(self._session, n) for n in range(sent)}
        return sent

    async def _send(self, number: int, waiting: asyncio.TaskGroup) -> None:
        item = an_input(self._session, number)
        outcome, ended = await self._adapter.accept_input_with_completion(self._name, item)
        assert outcome == Accepted(input_id=item.header.id)
        assert ended is not None
        self._say(number, ACCEPTED)
        waiting.create_task(self._wait(number, ended))
        if has_key(number) and number % 2:
            await self._resend(number, "-twice")

    async def _send_again(self, number: int, waiting: asyncio.TaskGroup) -> None:
        """What a sender does who was not told how the input of an earlier worker ended."""
        ended = await self._resend(number, "-again")
        self._say(number, ACCEPTED)
        if ended is not None:
            waiting.create_task(self._wait(number, ended))

    async def _resend(self, number: int, again: str) -> asyncio.Future[Outcome] | None:
        item = an_input(self._session, number, again=again)
        outcome, ended = await self._adapter.accept_input_with_completion(self._name, item)
        first = id_of(self._session, number)
        assert outcome == Deduplicated(input_id=item.header.id, existing_id=first)
        return ended

    async def _wait(self, number: int, ended: asyncio.Future[Outcome]) -> None:
        outcome = await ended
        if isinstance(outcome, Completed | CompletedWithoutResult):
            self._say(number, COMPLETED)
        else:
            assert isinstance(outcome, Abandoned), outcome
            self._say(number, GIVEN_UP)

    def _say(self, number: int, what: int) -> None:
        os.write(1, f"kept {code_of(self._session, number)} {what}\n".encode())


async def work(folder: Path, last: int) -> int:
    """All sessions at once. How many moments there were."""
    store = Moments(await opened(folder), last=last)
    ids = Ids(now_ms, os.urandom)
    service = await a_persistent_service(ScriptedLlm(answer), store, clock=now_ms, ids=ids)
    adapter = RuntimeSessionAdapter.persistent(service, ids=ids)
    os.write(1, b"open\n")
    async with asyncio.TaskGroup() as group:
        for session in range(SESSIONS):
            group.create_task(Sender(service, adapter, session).go_on())
    await adapter.aclose()
    await service.aclose()
    await store.aclose()
    return store.passed


def live(folder: Path, how: str, at: int) -> None:
    """A worker's whole life. It is killed ``at`` a moment, or lives to its end."""
    passed = asyncio.run(work(folder, at if how == "killed" else 0))
    os.write(1, f"wrote {passed}\n".encode())


def _orders() -> Iterator[tuple[Path, str, int]]:
    for line in sys.stdin:
        folder, how, at = line.rstrip("\n").split("\t")
        yield Path(folder), how, int(at)


def main() -> None:
    """Forks a worker for each line."""
    for folder, how, at in _orders():
        child = os.fork()
        if child == 0:
            try:
                live(folder, how, at)
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
