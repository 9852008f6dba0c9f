"""JSON as Python sees it: the type of values whose shape is not ours to know.

Type checkers see the recursive shape. At run time it is ``Any``, because msgspec resolves the
annotations of a struct when it decodes one and cannot follow a type that contains itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
else:
    Json = Any

JsonObject: TypeAlias = Mapping[str, Json]
