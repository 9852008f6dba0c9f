"""How a contract says that it is broken: plain assertion errors, whatever runs the tests.

A rule is an async function that takes the maker of a home and returns nothing. The kit knows no
test framework; a framework only has to call each rule.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

ErrorT = TypeVar("ErrorT", bound=BaseException)


def same(found: object, wanted: object, what: str = "the value") -> None:
    """Raises ``AssertionError`` unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


def holds(condition: object, what: str) -> None:
    """Raises ``AssertionError``, saying what ought to be true, unless it is."""
    if not condition:
        raise AssertionError(f"this does not hold: {what}")


class Refusal(Generic[ErrorT]):
    """What was refused with; ``error`` is there once the block has ended."""

    error: ErrorT


@contextmanager
def refuses(kind: type[ErrorT]) -> Generator[Refusal[ErrorT], None, None]:
    """Raises ``AssertionError`` unless the block raises a ``kind``; other errors pass through."""
    refusal: Refusal[ErrorT] = Refusal()
    try:
        yield refusal
    except kind as error:
        refusal.error = error
    else:
        raise AssertionError(f"nothing was refused: expected {kind.__name__}")


def rules_of(*modules: str) -> tuple[Callable[..., Awaitable[None]], ...]:
    """Every rule that the modules define, in order: their public coroutine functions."""
    return tuple(
        rule
        for module in modules
        for name, rule in vars(sys.modules[module]).items()
        if not name.startswith("_")
        and inspect.iscoroutinefunction(rule)
        and rule.__module__ == module
    )
