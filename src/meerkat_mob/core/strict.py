"""Strict decoding of what people and programs send us: every fault at once, each with its place.

msgspec stops at the first fault and hides map keys. This walks the data beside the type first,
collects all faults with their full paths, and only then lets msgspec build the value. A key that
is known elsewhere but not done here is a fault that does not block; nothing is ever dropped in
silence. An explicit null where the type has no null means "absent".
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Final, Literal, TypeAlias, TypeGuard, TypeVar, cast

import msgspec
from msgspec import inspect

from meerkat_mob.errors import InvalidParams

FaultKind: TypeAlias = Literal[
    "unknown_field", "missing_field", "invalid_value", "unsupported_field"
]
BLOCKING: Final[frozenset[FaultKind]] = frozenset({"missing_field", "invalid_value"})
"""With one of these no value can be built; the others leave something out and say so."""

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)


class Fault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong, where, and the known name that is nearest to an unknown one."""

    kind: FaultKind
    path: str
    message: str
    nearest: str | None = None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader accepts beyond the fields of its structs, for each struct class.

    ``aliases``: another key for a field. ``shorthand``: the field that a bare text stands for.
    ``unsupported``: a key that is known and has no effect here, with the reason. ``hidden``: fields
    that are ours alone; a document that has them has an unknown key. ``hints``: what to do instead
    of a key that does not exist, where the nearest name would not help.
    """

    aliases: Mapping[type, Mapping[str, str]] = {}
    shorthand: Mapping[type, str] = {}
    unsupported: Mapping[type, Mapping[str, str]] = {}
    hidden: Mapping[type, frozenset[str]] = {}
    hints: Mapping[type, Mapping[str, str]] = {}


PLAIN: Final = Dialect()


def decode(
    cls: type[T], data: object, *, path: str = "", dialect: Dialect = PLAIN
) -> tuple[T | None, tuple[Fault, ...]]:
    """Builds a ``cls`` from JSON-like data. Never raises for bad data.

    The value is None exactly when a fault blocks; ``path`` is put in front of every place.
    """
    walk, wanted = _Walk(dialect), cast("type", cls)
    try:
        clean = walk.value(_type_of(wanted), data, path)
        if not walk.blocked:
            return msgspec.convert(clean, cls), tuple(walk.faults)
    except msgspec.ValidationError as error:  # a rule of a type that the walk does not know
        walk.invalid(path, str(error))
    except RecursionError:
        walk.invalid(path, "the data is nested too deeply")
    return None, tuple(walk.faults)


def insist(cls: type[T], data: object, *, path: str = "", hint: str = "correct it") -> T:
    """The same for who takes nothing else. Raises ``InvalidParams`` with every fault."""
    value, faults = decode(cls, data, path=path)
    if value is None or faults:
        told = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise InvalidParams(what=told, hint=hint)
    return value


def checked(value: StructT, *, path: str) -> StructT:
    """A struct that a program made, where nothing looks at its rules. Raises ``InvalidParams``."""
    return insist(type(value), msgspec.to_builtins(value), path=path)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typing error most likely meant."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def join(path: str, key: str) -> str:
    """The place of a key inside a place."""
    return f"{path}.{key}" if path else key


def found(data: object) -> str:
    """What a value is, in words of JSON and TOML."""
    match data:
        case None:
            return "null"
        case bool():
            return "true" if data else "false"
        case str():
            return f"the text {data if len(data) <= 40 else data[:37] + '...'!r}"
        case int() | float():
            return f"the number {data}"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(data).__name__}"


def is_table(data: object) -> TypeGuard[Mapping[object, object]]:
    """An object of JSON, a table of TOML."""
    return isinstance(data, Mapping)


def is_list(data: object) -> TypeGuard[Sequence[object]]:
    """An array of either."""
    return isinstance(data, (list, tuple))


class _Walk:
    """One pass over data and type. Methods return cleaned data and append what is wrong."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.faults: list[Fault] = []
        self.blocked = False

    def fault(self, kind: FaultKind, path: str, message: str, near: str | None = None) -> None:
        self.faults.append(Fault(kind=kind, path=path, message=message, nearest=near))
        self.blocked = self.blocked or kind in BLOCKING

    def invalid(self, path: str, message: str, near: str | None = None) -> None:
        self.fault("invalid_value", path, message, near)

    def no_such_word(self, words: Iterable[str], data: object, path: str) -> None:
        near = nearest(data, words) if isinstance(data, str) else None
        hint = f"; did you mean {near!r}?" if near else ""
        self.invalid(path, f"expected {_one_of(words)}, found {found(data)}{hint}", near)

    def value(self, info: inspect.Type, data: object, path: str) -> object:
        """Dispatches on the kind of type."""
        info = _bare(info)
        match info:
            case inspect.AnyType():
                return self.json(data, path)
            case inspect.UnionType():
                return self.member(info, data, path)
            case inspect.StructType() if self.takes(info, data):
                return self.struct(info, data, path)
            case inspect.DictType() if is_table(data):
                return self.table(info, data, path)
            case inspect.VarTupleType() | inspect.ListType() if is_list(data):
                item = info.item_type
                return [self.value(item, x, f"{path}[{i}]") for i, x in enumerate(data)]
            case inspect.LiteralType() if data not in info.values:
                self.no_such_word([str(v) for v in info.values], data, path)
            case inspect.StrType(min_length=1) if data == "":
                self.invalid(path, "must not be empty")
            case _ if not self.takes(info, data) or not _within(info, data):
                self.invalid(path, f"expected {_wanted(info)}, found {found(data)}")
            case _:
                pass
        return data

    def takes(self, info: inspect.Type, data: object) -> bool:
        """Whether data is of the JSON kind that the type takes."""
        info = _bare(info)
        if isinstance(info, inspect.StructType) and info.cls in self._dialect.shorthand:
            return isinstance(data, (str, Mapping))
        return _KINDS[type(info)](data)

    def member(self, info: inspect.UnionType, data: object, path: str) -> object:
        """One member of a union by the JSON kind of the data; among structs, by the tag."""
        fitting = [t for t in info.types if self.takes(t, data)]
        structs = [t for t in fitting if isinstance(t, inspect.StructType)]
        if len(structs) > 1 and is_table(data):
            return self.tagged(structs, data, path)
        if fitting:
            return self.value(fitting[0], data, path)
        self.invalid(path, f"expected {_wanted(info)}, found {found(data)}")
        return None

    def tagged(
        self, structs: list[inspect.StructType], data: Mapping[object, object], path: str
    ) -> object:
        """The struct that the tag names."""
        tag_field = structs[0].tag_field or ""
        known = {str(s.tag): s for s in structs}
        tag, place = data.get(tag_field), join(path, tag_field)
        if isinstance(tag, str) and tag in known:
            return self.struct(known[tag], data, path)
        if tag is None:
            self.fault(
                "missing_field", place, f"{tag_field!r} is missing: expected {_one_of(known)}"
            )
        else:
            self.no_such_word(known, tag, place)
        return None

    def struct(self, info: inspect.StructType, data: object, path: str) -> object:
        """The fields of a struct under their canonical keys; faults in the author's order."""
        cls, dialect = info.cls, self._dialect
        entries = data if is_table(data) else {dialect.shorthand[cls]: data}
        hidden = dialect.hidden.get(cls, frozenset())
        fields = {f.encode_name: f for f in info.fields if f.encode_name not in hidden}
        clean: dict[str, object] = {}
        faults_before = len(self.faults)
        for key, item in entries.items():
            if info.tag_field is not None and key == info.tag_field:
                clean[info.tag_field] = item
                continue
            field = self.field_of(cls, fields, key, item, path)
            if field is None:
                continue
            name, place = field.encode_name, join(path, str(key))
            if name in clean:
                self.invalid(place, f"{name!r} is said twice: keep one of the keys")
            else:
                clean[name] = self.value(field.type, item, place)
        for name, field in fields.items():
            if field.required and name not in clean:
                wanted = _wanted(field.type)
                self.fault(
                    "missing_field", join(path, name), f"{name!r} is missing: expected {wanted}"
                )
        if hasattr(cls, "__post_init__") and len(self.faults) == faults_before:
            self.rule_of(cls, clean, path)
        return clean

    def field_of(
        self, cls: type, fields: Mapping[str, inspect.Field], key: object, item: object, path: str
    ) -> inspect.Field | None:
        """The field a key gives a value to; None when it gives none, with the reason as a fault."""
        if not isinstance(key, str) or not _encodable(key):
            self.invalid(path, f"a key must be text, found {found(key)}")
            return None
        aliases = self._dialect.aliases.get(cls, {})
        unsupported = self._dialect.unsupported.get(cls, {})
        field = fields.get(aliases.get(key, key))
        if field is not None:
            return None if item is None and not _takes_null(field.type) else field
        place = join(path, key)
        if key not in unsupported:
            told = self._dialect.hints.get(cls, {}).get(key)
            near = None if told else nearest(key, [*fields, *aliases])
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(fields)}"
            hint = told or hint
            self.fault("unknown_field", place, f"unknown key {key!r}; {hint}", near)
        elif item not in (None, False, "", [], {}):  # these ask for nothing
            self.fault("unsupported_field", place, f"{key!r} has no effect: {unsupported[key]}")
        return None

    def rule_of(self, cls: type, clean: dict[str, object], path: str) -> None:
        """A struct's own rule over several fields."""
        try:
            msgspec.convert(clean, cls)
        except msgspec.ValidationError as error:
            self.invalid(path, str(error).partition(" - at `$")[0])

    def table(
        self, info: inspect.DictType, data: Mapping[object, object], path: str
    ) -> dict[str, object]:
        """A map, entry by entry. A null entry is absent unless the values may be null."""
        clean: dict[str, object] = {}
        for key, item in data.items():
            if not isinstance(key, str) or not _encodable(key):
                self.invalid(path, f"a key must be text, found {found(key)}")
            elif item is not None or _takes_null(info.value_type):
                clean[key] = self.value(info.value_type, item, join(path, key))
        return clean

    def json(self, data: object, path: str) -> object:
        """Any JSON value. Dates of TOML, infinity and not-a-number are none."""
        if is_table(data):
            return self.table(_JSON_TABLE, data, path)
        if is_list(data):
            return [self.json(x, f"{path}[{i}]") for i, x in enumerate(data)]
        if not isinstance(data, (str, int, float, type(None))) or not _encodable(data):
            self.invalid(path, f"expected a JSON value, found {found(data)}: write it as text")
        return data


_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_JSON_TABLE: Final = inspect.DictType(inspect.StrType(), inspect.AnyType())

_KINDS: Final[Mapping[type[inspect.Type], Callable[[object], bool]]] = {
    inspect.NoneType: lambda x: x is None,
    inspect.BoolType: lambda x: isinstance(x, bool),
    inspect.IntType: lambda x: isinstance(x, int) and not isinstance(x, bool),
    inspect.FloatType: lambda x: isinstance(x, (int, float)) and not isinstance(x, bool),
    inspect.StrType: lambda x: isinstance(x, str),
    inspect.LiteralType: lambda x: isinstance(x, (str, int)),
    inspect.ListType: is_list,
    inspect.VarTupleType: is_list,
    inspect.DictType: is_table,
    inspect.StructType: is_table,
    inspect.AnyType: lambda _: True,
}
"""The types of our structs. Another one is a KeyError in the first test that decodes it."""

_WORDS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "a table",
    inspect.StructType: "a table",
    inspect.AnyType: "a JSON value",
}


def _wanted(info: inspect.Type) -> str:
    """What a type takes, in words."""
    info = _bare(info)
    match info:
        case inspect.UnionType():
            words = (_wanted(t) for t in info.types if not isinstance(t, inspect.NoneType))
            return " or ".join(dict.fromkeys(words))
        case inspect.LiteralType():
            return _one_of(str(v) for v in info.values)
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"an integer from {low} to {high}"
        case inspect.IntType(ge=int(low)):
            return f"an integer of at least {low}"
        case inspect.IntType():
            return "an integer"
        case _:
            return _WORDS[type(info)]


def _one_of(words: Iterable[str]) -> str:
    return "one of " + ", ".join(repr(w) for w in words)


def _within(info: inspect.Type, data: object) -> bool:
    """Whether a number is inside the bounds of its type, and every value one of JSON."""
    if isinstance(info, (inspect.IntType, inspect.FloatType)) and isinstance(data, (int, float)):
        low, high = info.ge, info.le
        if (low is not None and data < low) or (high is not None and data > high):
            return False
    return _encodable(data)


def _encodable(data: object) -> bool:
    """Whether a plain value can be written as JSON: 64 bits, finite, no half surrogate pairs."""
    match data:
        case str():
            return data.isascii() or not _SURROGATE.search(data)
        case int():
            return -(2**63) <= data < 2**64
        case float():
            return math.isfinite(data)
        case _:
            return True


def _takes_null(info: inspect.Type) -> bool:
    info = _bare(info)
    if isinstance(info, inspect.UnionType):
        return any(_takes_null(t) for t in info.types)
    return isinstance(info, (inspect.NoneType, inspect.AnyType))


def _bare(info: inspect.Type) -> inspect.Type:
    """The type without what is only said about it, such as a description for a schema."""
    return _bare(info.type) if isinstance(info, inspect.Metadata) else info


@cache
def _type_of(cls: type) -> inspect.Type:
    return inspect.type_info(cls)
