"""JSON that somebody else wrote: a model, a server, a file.

A decoder goes one call deeper per level. On the host too many levels are an exception; inside
WebAssembly they overflow the stack, which kills the interpreter and with it the whole page. So text
from outside is measured first, and refused on every target at the same depth.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json

DEEPEST: Final = 192
"""Levels of nesting we read. Tool arguments may have 128; what is stored around them, a few."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def refuse_deep(raw: bytes | str | msgspec.Raw, levels: int = DEEPEST) -> None:
    """Raises ``ValueError`` when brackets nest deeper than ``levels``. Costs next to nothing.

    To be called before a typed decoder sees text from outside: it walks unknown fields, too.
    """
    text = raw.encode() if isinstance(raw, str) else bytes(raw)
    if text.count(b"[") + text.count(b"{") <= levels:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
            if depth > levels:
                raise ValueError(f"JSON nested deeper than {levels} levels is not taken")
        elif first in b"]}":
            depth -= 1


def decode_json(raw: bytes | str | msgspec.Raw, levels: int = DEEPEST) -> Json:
    """The value of a JSON text. Raises ``ValueError`` for what is none, or is too deep."""
    refuse_deep(raw, levels)
    try:
        value: Json = msgspec.json.decode(raw)
    except msgspec.DecodeError as fault:
        raise ValueError(f"this is not JSON: {fault}") from fault
    return value
