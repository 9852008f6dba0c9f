"""What a mob needs of a session service beside sessions: the runtime that feeds them.

``for_mobs`` gives a session service that interface. One service object has one adapter, for as
long as the service lives, however many mobs share it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.sessions import SessionService


@runtime_checkable
class MobSessionService(Protocol):
    """A session service with its runtime (spec mob 6.1)."""

    @property
    def sessions(self) -> SessionService:
        """The life of the sessions."""
        ...

    @property
    def supports_persistent_sessions(self) -> bool:
        """Whether sessions outlive the process."""
        ...

    def runtime_adapter(self) -> RuntimeSessionAdapter:
        """The inboxes of the sessions: the same object on every call."""
        ...


_adapters: WeakKeyDictionary[SessionService, RuntimeSessionAdapter] = WeakKeyDictionary()


class _ForMobs:
    def __init__(self, sessions: SessionService, ids: Callable[[], str]) -> None:
        self._sessions, self._ids = sessions, ids

    @property
    def sessions(self) -> SessionService:
        return self._sessions

    @property
    def supports_persistent_sessions(self) -> bool:
        return self._sessions.supports_persistent_sessions

    def runtime_adapter(self) -> RuntimeSessionAdapter:
        adapter = _adapters.get(self._sessions)
        if adapter is None:
            make = (
                partial(RuntimeSessionAdapter.persistent, self._sessions)
                if self._sessions.supports_persistent_sessions
                else RuntimeSessionAdapter.ephemeral
            )
            adapter = _adapters[self._sessions] = make(ids=self._ids)
        return adapter


def for_mobs(service: SessionService, *, ids: Callable[[], str]) -> MobSessionService:
    """The mob's view of a session service. ``ids`` mints input and run ids."""
    return _ForMobs(service, ids)
