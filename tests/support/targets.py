"""Which tests a target leaves out, how many it executed, and that it skipped no other.

``tests/targets.toml`` lists what each target may leave out, with the reason; a skip that is not
listed there fails the run. With ``--floors`` (a run of the whole suite) so does executing fewer
tests than ``tests/floors.json`` records. ``--tally FILE`` writes the counts for whoever started
the run. The target is named by ``MEERKAT_TARGET``; without it, it is the interpreter's own.
"""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from meerkat_mob._target import IN_BROWSER

TESTS = Path(__file__).resolve().parent.parent
OWN_TARGET = "pyodide-node" if IN_BROWSER else "cpython"


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a target's list: a path under the repository, and why."""

    path: str
    reason: str

    @property
    def file(self) -> Path:
        """The file or folder that the entry points at or into."""
        return TESTS.parent / self.path.partition("::")[0]

    @property
    def whole(self) -> bool:
        """Whether it names a file or a folder, and not a test in one."""
        return "::" not in self.path

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is the entry's own, or lies below it."""
        return path == self.file or self.file in path.parents


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One section of ``targets.toml``."""

    about: str
    same_as: str | None = None
    leave_out: tuple[LeftOut, ...] = ()


def left_out(listing: str, target: str) -> tuple[LeftOut, ...]:
    """The list of ``target``. An unknown target or a stale path is an error of usage."""
    targets = msgspec.convert(tomllib.loads(listing), dict[str, Target])
    if target not in targets:
        raise pytest.UsageError(f"no target {target!r} in targets.toml: {', '.join(targets)}")
    asked = targets[target]
    shared = left_out(listing, asked.same_as) if asked.same_as else ()
    for one in asked.leave_out:
        if not one.file.exists():
            raise pytest.UsageError(f"targets.toml: {target} leaves out {one.path}, which is gone")
    return (*shared, *asked.leave_out)


class Floors(msgspec.Struct, frozen=True):
    """The part of ``floors.json`` that a run needs."""

    floors: dict[str, int]


class Tally(msgspec.Struct):
    """What happened to the tests, and what is wrong with the run as a whole."""

    target: str
    whole: bool
    passed: int = 0
    failed: int = 0
    skips: list[str] = []
    faults: list[str] = []

    @property
    def executed(self) -> int:
        """Tests whose body ran."""
        return self.passed + self.failed

    def count(self, report: pytest.TestReport) -> None:
        """Take one report in. An expected failure counts as passed: the body ran, as foretold."""
        if report.when == "call" and (report.passed or hasattr(report, "wasxfail")):
            self.passed += 1
        elif report.failed:
            self.failed += 1
        elif report.skipped and not hasattr(report, "wasxfail"):
            self.skips.append(report.nodeid)

    def judge(self, floor: int | None) -> None:
        """Write down every fault of the run that no single test shows."""
        self.faults += [
            f"{test} was skipped, and targets.toml does not list it" for test in self.skips
        ]
        if floor is not None and self.executed < floor:
            self.faults.append(
                f"{self.executed} tests executed, {floor - self.executed} below the floor"
            )


class Targets:
    """The plug-in: one target, its list, its floor and its tally."""

    def __init__(self, config: pytest.Config) -> None:
        target = os.environ.get("MEERKAT_TARGET", OWN_TARGET)
        self._left_out = left_out((TESTS / "targets.toml").read_text(), target)
        whole = bool(config.getoption("--floors"))
        self._tally = Tally(target, whole)
        self._tally_file: str | None = config.getoption("--tally")
        recorded = msgspec.json.decode((TESTS / "floors.json").read_bytes(), type=Floors)
        self._floor = recorded.floors.get(target, 0) if whole else None

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not even import what is left out whole: it may need what is not there."""
        leave = any(one.whole and one.covers(collection_path) for one in self._left_out)
        return True if leave else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop single tests that are left out."""
        single = tuple(one.path for one in self._left_out if not one.whole)
        items[:] = [item for item in items if not _names(single, item.nodeid)]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module may skip itself while it is imported; that is a skip like any other."""
        if report.skipped:
            self._tally.skips.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count."""
        self._tally.count(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the run, and let its exit status say so."""
        self._tally.judge(self._floor)
        if self._tally.faults and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._tally_file:
            Path(self._tally_file).write_bytes(msgspec.json.encode(self._tally))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The line that everyone looks for, and the faults below it."""
        floor = "" if self._floor is None else f" (floor {self._floor})"
        terminalreporter.write_line(
            f"{self._tally.target}: {self._tally.executed} executed{floor}", bold=True
        )
        for fault in self._tally.faults:
            terminalreporter.write_line(f"{self._tally.target}: {fault}", red=True)


def _names(paths: Iterable[str], nodeid: str) -> bool:
    """Whether a path names the test, with or without its parameters."""
    return any(nodeid == path or nodeid.startswith(f"{path}[") for path in paths)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the programs that run the whole suite."""
    group = parser.getgroup("targets")
    group.addoption(
        "--floors", action="store_true", help="this is the whole suite: check its floor"
    )
    group.addoption("--tally", metavar="FILE", help="write the counts of this run as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """One plug-in object holds the state of one run."""
    config.pluginmanager.register(Targets(config), "meerkat-targets")
