"""The command ``meerkat-mob proxy`` as a process, before an upstream on loopback. No tests."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import msgspec

from meerkat_mob.llm.providers import HOMES
from tests.surfaces.cli.test_process import HANGS_AFTER_S, a_line, started

KEY = "sk-of-the-environment"
_OTHERS = {name for home in HOMES.values() for name in (*home.keys, *home.urls)}


def environment(**told: str) -> dict[str, str]:
    """The suite's own, with these variables of providers and no others."""
    return {**{k: v for k, v in os.environ.items() if k not in _OTHERS}, **told}


def asking_at(upstream: str) -> dict[str, str]:
    """Variables by which one server stands for all providers, with a key for each."""
    names = ("OPENAI", "ANTHROPIC", "GEMINI")
    keys = {f"{name}_API_KEY": KEY for name in names}
    return {**keys, **{f"{name}_BASE_URL": upstream for name in names}}


class Running(msgspec.Struct):
    """A proxy that listens; ``log`` is what it had said on standard error when it ended."""

    address: str
    started: dict[str, object]
    process: subprocess.Popen[str]
    log: str = ""

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Stops it, and gives its exit code."""
        self.process.send_signal(sign)
        _, self.log = self.process.communicate(timeout=HANGS_AFTER_S)
        return self.process.returncode


@contextmanager
def running(*options: str, env: Mapping[str, str]) -> Generator[Running, None, None]:
    """The command until the end of the block, on a free port."""
    argv = ("proxy", "--port", "0", "--json", *options)
    with started(argv, env=environment(**env)) as process:
        try:
            line: dict[str, object] = msgspec.json.decode(a_line(process.stdout))
            running = Running(address=str(line["address"]), started=line, process=process)
            yield running
            if process.poll() is None:
                running.stop()
        finally:
            process.kill()
