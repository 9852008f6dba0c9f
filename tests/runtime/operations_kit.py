"""A registry of background work over a log that outlives it, and that can be slow or fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from meerkat_mob.errors import StoreFailed
from meerkat_mob.runtime.operations import (
    RETENTION,
    OperationBook,
    OperationFact,
    OperationFold,
    OperationKind,
    OperationRegistry,
    OperationSpec,
    record_of,
)
from meerkat_mob.store import Record
from meerkat_mob.testing.builders import a_clock, some_ids

OWNER = "owner"


class Log:
    """Records in their order. While ``failing`` it keeps nothing; while ``slow`` it waits.

    ``lands`` says what becomes of a commit whose caller is cancelled meanwhile: nothing, or it is
    kept, and seen as a store promises, or unseen because the process has gone.
    """

    lands: Literal["never", "seen", "unseen"] = "never"

    def __init__(self, ids: Callable[[], str] | None = None) -> None:
        self.records: list[Record] = []
        self.commits = 0
        self.failing = False
        self.slow: asyncio.Future[None] | None = None
        self.clock = a_clock(step=1)
        self.ids = ids or some_ids("epoch")

    async def keep(self, facts: Sequence[OperationFact], then: Callable[[], None]) -> None:
        try:
            if self.slow is not None:
                await asyncio.shield(self.slow)
        except asyncio.CancelledError:
            if self.lands != "never":
                self._write(facts)
            if self.lands == "seen":
                then()
            raise
        if self.failing:
            raise StoreFailed(path="log", why="the disk is full")
        self._write(facts)
        then()

    def _write(self, facts: Sequence[OperationFact]) -> None:
        for fact in facts:
            new = record_of(fact)
            self.records.append(
                Record(
                    stream=f"session:{OWNER}",
                    seq=len(self.records) + 1,
                    kind=new.kind,
                    v=new.v,
                    body=new.body,
                    at=0,
                )
            )
        self.commits += 1

    @property
    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]

    def book(self, *, retention: int = RETENTION) -> OperationBook:
        fold = OperationFold(OWNER, retention=retention)
        fold.add(self.records)
        return fold.book


def a_registry(
    log: Log, *, retention: int = RETENTION, max_concurrent: int = 1024
) -> OperationRegistry:
    """The registry as it opens on what the log has; nothing is recovered yet."""
    return OperationRegistry(
        log.book(retention=retention),
        keep=log.keep,
        clock=log.clock,
        ids=log.ids,
        max_concurrent=max_concurrent,
    )


def a_job(
    name: str = "job",
    *,
    kind: OperationKind = "background_tool_op",
    expects_peer: bool | UnsetType = UNSET,
    owner: str = OWNER,
) -> OperationSpec:
    return OperationSpec(
        id=name,
        kind=kind,
        owner_session_id=owner,
        display_name=f"the {name}",
        source_label="a test",
        expect_peer_channel=expects_peer,
    )


def a_child(name: str = "child") -> OperationSpec:
    return a_job(name, kind="mob_member_child")


async def running(registry: OperationRegistry, *specs: OperationSpec) -> None:
    """Registers operations and lets them run."""
    for spec in specs:
        await registry.register_operation(spec)
        await registry.provisioning_succeeded(spec.id)


async def completed(registry: OperationRegistry, *specs: OperationSpec) -> None:
    """Registers operations, and each runs and completes before the next one comes."""
    for spec in specs:
        await running(registry, spec)
        await registry.complete(spec.id)
