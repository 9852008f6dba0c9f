"""Tools from functions: the parameters are the schema, the docstring is what the model reads.

Everything is looked at once, where the function is decorated; what cannot be a tool is refused
there, with the parameter and what to do. A call that does not fit never reaches the function.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeAlias, cast, get_args, get_origin, get_type_hints, overload
from weakref import WeakKeyDictionary

import msgspec

from meerkat_mob.core.content import ContentBlock, ImageBlock, TextBlock
from meerkat_mob.core.tools import Tool, ToolCall, ToolDef, ToolOutcome, tool_error
from meerkat_mob.core.typed_tools import arguments_of, schema_of
from meerkat_mob.errors import InvalidParams

Function: TypeAlias = Callable[..., object]
_MUTABLE: Final = (list, dict, set, bytearray)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ARGUMENT: Final = re.compile(r"^(\w+)(?: \([^)]*\))?:\s*(.*)$")


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    limit: int | None = None,
    deferred: bool = False,
) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    limit: int | None = None,
    deferred: bool = False,
) -> Tool | Callable[[Function], Tool]:
    """A tool from a function, asynchronous or not; one that is not runs on the loop.

    Each parameter has an annotation that msgspec can decode; ``Annotated`` with ``msgspec.Meta``
    constrains and describes it, and so does a line in the docstring's ``Args:``. A parameter of
    type ``ToolCall`` gets the call and is no part of the schema. A call that takes longer than
    ``timeout`` seconds is cut off; of more than ``limit`` calls at a time the others wait. A
    ``deferred`` tool may stay hidden until the model asks for it.

    A text is the result as it is, text and image blocks too, everything else is JSON. What the
    function raises is an error result. Raises ``InvalidParams`` for what cannot be a tool.
    """

    def make(made: Function) -> Tool:
        form = _Form(made)
        turns = _Turns(limit)

        async def execute(call: ToolCall) -> ToolOutcome:
            given = form.arguments(call)
            async with turns.one():
                return await _within(timeout, made, given)

        about = form.description if description is None else description
        definition = ToolDef(
            name=name or made.__name__, description=about, input_schema=form.schema
        )
        return Tool(definition=definition, execute=execute, deferred=deferred)

    return make if function is None else make(function)


class _Form:
    """What a function takes, as a struct."""

    def __init__(self, function: Function) -> None:
        self._name = getattr(function, "__name__", "the tool")
        self.description, told = _read(inspect.getdoc(function) or "")
        self._call: str | None = None
        fields: list[tuple[str, object] | tuple[str, object, object]] = []
        hints = self._hints(function)
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name)
            if kind is ToolCall:
                self._call = parameter.name
                continue
            self._insist_on(parameter, kind)
            if parameter.name in told:
                kind = _described(kind, told[parameter.name])
            if parameter.default is inspect.Parameter.empty:
                fields.append((parameter.name, kind))
            else:
                fields.append((parameter.name, kind, _default(parameter.default)))
        try:
            self._struct: type[msgspec.Struct] = msgspec.defstruct(
                self._name, cast("list[str]", fields), frozen=True, kw_only=True
            )
            self.schema = schema_of(self._struct)
        except TypeError as fault:
            raise self._refusal("", str(fault), "take types that msgspec can decode") from None

    def arguments(self, call: ToolCall) -> dict[str, object]:
        """Those of a call. Raises ``InvalidParams`` with every fault."""
        given = arguments_of(self._struct, call)
        found: dict[str, object] = {n: getattr(given, n) for n in given.__struct_fields__}
        return found if self._call is None else {**found, self._call: call}

    def _hints(self, function: Function) -> Mapping[str, object]:
        try:
            return get_type_hints(function, include_extras=True)
        except NameError as fault:
            raise self._refusal(
                "", str(fault), "annotate with names that the function's module knows"
            ) from None

    def _insist_on(self, parameter: inspect.Parameter, kind: object) -> None:
        if parameter.kind not in _NAMED:
            raise self._refusal(
                parameter.name, "a model gives arguments by name", "take each one by its name"
            )
        if kind is None:
            raise self._refusal(
                parameter.name, "nothing says what it is", "annotate it, for instance with str"
            )

    def _refusal(self, parameter: str, what: str, hint: str) -> InvalidParams:
        path = f"{self._name}.{parameter}" if parameter else self._name
        return InvalidParams(what=what, path=path, hint=hint)


def _described(kind: object, text: str) -> object:
    """The annotation with a description, unless it has one."""
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    if any(isinstance(meta, msgspec.Meta) and meta.description for meta in metas):
        return kind
    return Annotated[kind, msgspec.Meta(description=text)]


def _default(value: object) -> object:
    """A default that no call can change for the next one."""
    if type(value) in _MUTABLE:
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value


def _read(doc: str) -> tuple[str, dict[str, str]]:
    """A docstring without its sections, and what its ``Args:`` say of each parameter."""
    text, _, rest = doc.partition("\nArgs:\n")
    text = re.split(r"\n(?:Returns|Raises|Yields):\n", text)[0]
    told: dict[str, str] = {}
    latest = ""
    for line in rest.splitlines():
        if line.strip() and not line.startswith(" "):
            break  # the next section
        if found := _ARGUMENT.match(line.strip()):
            latest, told[found[1]] = found[1], found[2]
        elif latest and line.strip():
            told[latest] = f"{told[latest]} {line.strip()}".strip()
    return text.strip(), told


class _Turns:
    """How many calls may go on at a time, in each event loop for itself."""

    def __init__(self, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise InvalidParams(what="no call could run", path="limit", hint="allow at least one")
        self._limit = limit
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )

    def one(self) -> asyncio.Semaphore | _Open:
        """A context in which one call goes on."""
        if self._limit is None:
            return _OPEN
        loop = asyncio.get_running_loop()
        return self._gates.setdefault(loop, asyncio.Semaphore(self._limit))


class _Open:
    """A gate without a limit."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


_OPEN: Final = _Open()


async def _within(
    seconds: float | None, function: Function, given: Mapping[str, object]
) -> ToolOutcome:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            value = function(**given)
            return outcome_of(await value if inspect.isawaitable(value) else value)
    except TimeoutError:
        if limit.expired():
            return _timed_out(seconds or 0)
        raise


def _timed_out(seconds: float) -> ToolOutcome:
    told = tool_error("timeout", f"it took longer than {seconds:g} s and was cut off")
    return msgspec.structs.replace(told, timed_out_ms=round(seconds * 1000))


def outcome_of(value: object) -> ToolOutcome:
    """What a function gave back, as a result. Raises ``TypeError`` for what JSON cannot say."""
    match value:
        case ToolOutcome():
            return value
        case None:
            return ToolOutcome(content="done")
        case str():
            return ToolOutcome(content=value)
        case TextBlock() | ImageBlock():
            return ToolOutcome(content=(value,))
        case list() | tuple() if value and all(map(_is_block, cast("list[object]", value))):
            return ToolOutcome(content=tuple(cast("list[ContentBlock]", value)))
        case _:
            return ToolOutcome(content=msgspec.json.encode(value).decode())


def _is_block(value: object) -> bool:
    return isinstance(value, TextBlock | ImageBlock)
