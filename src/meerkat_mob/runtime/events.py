"""What happens in the inbox of a session, for those who watch it (INP-4).

Nothing of it is kept: what lasts of an input are its facts, and the receipts of runs. Nobody pays
for events that nobody watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import Input
from meerkat_mob.runtime.inbox import Abandoned, InputRecord, RuntimeTerminated
from meerkat_mob.runtime.state import RuntimeState

InputCode: TypeAlias = Literal[
    "accepted", "deduplicated", "queued", "staged", "consumed", "abandoned"
]
RunCode: TypeAlias = Literal["started", "completed", "failed", "cancelled"]


class InputChanged(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="category", tag="input"
):
    """An input came to another place of its life.

    Queued again after it was staged, it waits for another attempt. ``existing_id`` is the input
    that a deduplicated one repeats; ``reason`` is why it was abandoned.
    """

    code: InputCode
    input_id: str
    run_id: str | UnsetType = UNSET
    existing_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class RunChanged(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="category", tag="run"
):
    """A run began, or came to its end; one that ended at calls of others completed."""

    code: RunCode
    run_id: str
    input_ids: tuple[str, ...]


class RuntimeChanged(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="category", tag="runtime"
):
    """The runtime stands elsewhere."""

    previous: RuntimeState
    state: RuntimeState
    code: Literal["state_changed"] = "state_changed"


RuntimeEvent: TypeAlias = InputChanged | RunChanged | RuntimeChanged


class RuntimeEnvelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event of the runtime of one session; ``timestamp`` in ms UTC.

    ``correlation_id`` is what the sender of the input said.
    """

    id: str
    timestamp: int
    runtime_id: str
    event: RuntimeEvent
    correlation_id: str | UnsetType = UNSET


Watcher: TypeAlias = Callable[[RuntimeEnvelope], None]


class Watchers:
    """Who watches one session's inbox."""

    def __init__(self, session_id: str, *, clock: Clock, ids: Callable[[], str]) -> None:
        self._session_id, self._clock, self._ids = session_id, clock, ids
        self._watchers: list[Watcher] = []

    def add(self, watcher: Watcher) -> Callable[[], None]:
        """Calls ``watcher`` for each event from now on; returns how to stop that."""
        self._watchers.append(watcher)
        return lambda: self._remove(watcher)

    def accepted(self, item: Input) -> None:
        """An input is kept; what becomes of it follows."""
        if self._watchers:
            self._tell(InputChanged(code="accepted", input_id=item.header.id), item)

    def deduplicated(self, item: Input, existing_id: str) -> None:
        """An input repeats another one; nothing has changed."""
        if self._watchers:
            header_id = item.header.id
            event = InputChanged(code="deduplicated", input_id=header_id, existing_id=existing_id)
            self._tell(event, item)

    def input_changed(self, record: InputRecord) -> None:
        """An input came to another phase."""
        if self._watchers:
            outcome, run_id = record.outcome, record.run_id
            reason: str | UnsetType = UNSET
            if isinstance(outcome, Abandoned | RuntimeTerminated):
                reason = outcome.reason
            event = InputChanged(
                code=record.phase.value,
                input_id=record.item.header.id,
                run_id=UNSET if run_id is None else run_id,
                reason=reason,
            )
            self._tell(event, record.item)

    def run_changed(self, code: RunCode, run_id: str, input_ids: tuple[str, ...]) -> None:
        """A run began or ended."""
        if self._watchers:
            self._tell(RunChanged(code=code, run_id=run_id, input_ids=input_ids))

    def state_changed(self, before: RuntimeState, after: RuntimeState) -> None:
        """The runtime stands elsewhere."""
        if self._watchers:
            self._tell(RuntimeChanged(previous=before, state=after))

    def _tell(self, event: RuntimeEvent, item: Input | None = None) -> None:
        """Gives an event to everyone. A watcher that raises is let go of, and the loop is told."""
        envelope = RuntimeEnvelope(
            id=self._ids(),
            timestamp=self._clock(),
            runtime_id=self._session_id,
            event=event,
            correlation_id=UNSET if item is None else item.header.correlation_id,
        )
        for watcher in tuple(self._watchers):
            try:
                watcher(envelope)
            except Exception as error:  # it is not this run's fault
                self._remove(watcher)
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a watcher of runtime events was let go of", "exception": error}
                )

    def _remove(self, watcher: Watcher) -> None:
        with suppress(ValueError):
            self._watchers.remove(watcher)
