"""A method is a row of a table: the struct its params must fit, and what is done with them.

Params are decoded strictly: whatever does not fit is refused with every fault at once, and nothing
is done. A key that upstream knows and that has no effect here is refused like any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import msgspec

from meerkat_mob.core.strict import Dialect, Fault, decode, nearest
from meerkat_mob.errors import InvalidParams, MethodNotFound

HostT = TypeVar("HostT")
ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)

Run: TypeAlias = Callable[[HostT, ParamsT], Awaitable[object]]
"""What a method does: the host and its params in, a struct out."""


@dataclass(frozen=True)
class Method(Generic[HostT]):
    """One row. ``call`` decodes its params, then works on the host."""

    params: type[msgspec.Struct]
    call: Callable[[HostT, object], Awaitable[object]]


def method(
    params: type[ParamsT],
    run: Run[HostT, ParamsT],
    *,
    dialect: Dialect,
    prepare: Callable[[object], object] = lambda given: given,
) -> Method[HostT]:
    """A row from a typed function. ``prepare`` brings params to the form that is read."""

    async def call(host: HostT, given: object) -> object:
        return await run(host, read_params(params, prepare(given), dialect=dialect))

    return Method(params=params, call=call)


async def call_method(
    table: Mapping[str, Method[HostT]], host: HostT, name: str, given: object
) -> object:
    """Calls a method of a table. Raises ``MethodNotFound``, ``InvalidParams``, and its errors."""
    found = table.get(name)
    if found is None:
        raise MethodNotFound(method=name, nearest=nearest(name, table))
    return await found.call(host, given)


def read_params(params: type[ParamsT], given: object, *, dialect: Dialect) -> ParamsT:
    """Params as their struct; None stands for none. Raises ``InvalidParams`` with every fault."""
    read, faults = decode(params, {} if given is None else given, dialect=dialect)
    if read is None or faults:
        raise _refusal(faults)
    return read


def _refusal(faults: tuple[Fault, ...]) -> InvalidParams:
    first, *more = faults
    told = "".join(f"; {fault.path or 'params'}: {fault.message}" for fault in more)
    return InvalidParams(
        what=first.message + told,
        path=first.path or "params",
        hint="nothing was done: correct the call and make it again",
    )
