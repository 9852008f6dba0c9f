"""Two processes and one realm: one has it, and what it said is never mixed with the other's."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import RealmFenced, RealmLocked
from meerkat_mob.sessions.fold import STREAM, Fold, summary_from
from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.flock import flock
from meerkat_mob.testing import a_turn
from tests.sessions.host.holder import ID
from tests.sessions.host.worker import opened, serve
from tests.store.host.nursery import ROOT

ATTEMPTS = 200


class Process:
    """The other process, see ``holder.py``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process

    def tell(self, word: str) -> None:
        into = _there(self._process.stdin)
        into.write(f"{word}\n")
        into.flush()

    def answer(self) -> str:
        return _there(self._process.stdout).readline().strip()

    def ask(self, word: str) -> str:
        self.tell(word)
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _there(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@contextmanager
def a_process(folder: Path) -> Generator[Process, None, None]:
    command = [sys.executable, "-m", "tests.sessions.host.holder", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


async def said(folder: Path) -> list[str]:
    """The session as it is on the disk."""
    assert verify(folder, lock=flock, folds={STREAM: summary_from}).clean
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    fold = Fold(ID)
    fold.add(await reader.read(STREAM + ID, limit=10_000))
    await reader.aclose()
    return [text_of_message(message) for message in fold.state().transcript.view()]


def turns(prompts: list[str]) -> list[str]:
    return [text for p in prompts for text in (p, f"Answer {p}.")]


@pytest.mark.native_only
async def test_a_living_holder_is_named_and_a_killed_one_replaced_at_once(tmp_path: Path) -> None:
    with a_process(tmp_path) as other:
        assert other.ask("open") == "open"
        assert other.ask("0.0") == "kept"
        with pytest.raises(RealmLocked) as refusal:
            await opened(tmp_path)
        assert f"process {other.pid} on " in refusal.value.holder
        other.kill()
        store = await opened(tmp_path)
        service = await serve(store)
        await service.start_turn(ID, a_turn("0.4"))
        await service.aclose()
        await store.aclose()
    assert await said(tmp_path) == turns(["0.0", "0.4"])


@pytest.mark.native_only
async def test_a_stopped_holder_that_wakes_up_late_is_told_that_it_was_replaced(
    tmp_path: Path,
) -> None:
    """Where the lock says nothing, as when somebody removed its file, the epoch still does."""
    with a_process(tmp_path) as other:
        assert other.ask("open") == "open"
        assert other.ask("0.0") == "kept"
        os.kill(other.pid, signal.SIGSTOP)
        (tmp_path / "realm.lock").unlink()
        store = await opened(tmp_path)
        service = await serve(store)
        await service.start_turn(ID, a_turn("0.4"))
        other.tell("0.8")
        os.kill(other.pid, signal.SIGCONT)
        assert other.answer() == RealmFenced.code
        await service.start_turn(ID, a_turn("0.12"))
        assert other.ask("0.16") == RealmFenced.code
        await service.aclose()
        await store.aclose()
        assert other.ask("close") == "closed"
    assert await said(tmp_path) == turns(["0.0", "0.4", "0.12"])


def test_two_hundred_interleaved_attempts_lose_nothing_and_mix_nothing(tmp_path: Path) -> None:
    """Two processes open, take turns and close as dice have it; at times the lock is removed."""
    dice, outcomes, kept = random.Random("200"), Counter[str](), list[str]()
    with ExitStack() as stack:
        one, other = (stack.enter_context(a_process(tmp_path)) for _ in range(2))
        opened_by: set[int] = set()  # by their pids
        holder: Process | None = None
        for attempt in range(ATTEMPTS):
            process = dice.choice((one, other))
            if process.pid not in opened_by:
                if holder is not None and dice.random() < 0.3:
                    (tmp_path / "realm.lock").unlink(missing_ok=True)
                    holder = None  # it does not know yet
                answer = process.ask("open")
                if holder is None:
                    assert answer == "open"
                    holder = process
                    opened_by.add(process.pid)
                else:
                    assert answer.startswith(f"{RealmLocked.code} process {holder.pid} on ")
            elif dice.random() < 0.2:
                answer = process.ask("close")
                assert answer == "closed"
                opened_by.remove(process.pid)
                holder = None if holder is process else holder
            else:
                word = f"0.{4 * attempt}"
                answer = process.ask(word)
                assert answer == ("kept" if process is holder else RealmFenced.code)
                kept += [word] * (process is holder)
            outcomes[answer.split()[0]] += 1
    assert outcomes.total() == ATTEMPTS
    assert min(outcomes[word] for word in ("kept", "closed", RealmLocked.code)) > 5
    assert outcomes[RealmFenced.code] > 5
    assert asyncio.run(said(tmp_path)) == turns(kept)
