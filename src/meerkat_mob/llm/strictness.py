"""What models for tests have in common: at their end they complain of what was not used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Strict(ABC):
    """As a context manager it ends with ``assert_spent``, unless something else went wrong."""

    @abstractmethod
    def assert_spent(self) -> None:
        """Raises when something was never said, or was asked for in vain."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.assert_spent()
