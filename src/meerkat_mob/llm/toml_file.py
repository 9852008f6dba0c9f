"""A TOML file that a person wrote: read whole, and every fault told with its place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from meerkat_mob.core.strict import decode
from meerkat_mob.errors import DefinitionInvalid, DefinitionUnreadable

T = TypeVar("T")


class FileFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong with a file, and where."""

    code: str
    message: str
    location: str | None = None


def text_of(path: Path | str) -> str:
    """What is in the file. Raises ``DefinitionUnreadable`` when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise DefinitionUnreadable(path=str(path), why=str(fault)) from fault


def parse_toml(
    cls: type[T], text: str, *, source: str, look: Callable[[T], Iterable[FileFault]]
) -> T:
    """The value that a text describes; ``look`` finds what its shape does not tell.

    Raises ``DefinitionInvalid`` with every fault.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        found = FileFault(code="invalid_syntax", message=str(fault))
        raise DefinitionInvalid(diagnostics=(found,), source=source) from fault
    value, shape = decode(cls, data)
    faults = [FileFault(code=f.kind, message=f.message, location=f.path) for f in shape]
    if value is not None:
        faults += look(value)
    if value is None or faults:
        raise DefinitionInvalid(diagnostics=faults, source=source)
    return value
