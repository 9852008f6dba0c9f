"""Between rows and structs. A row read back is believed only as far as its hashes go."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec

from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.store.chain import seal_of, told
from meerkat_mob.store.protocol import Head, Record

RECORD: Final = "r.kind, r.v, r.at, r.keys, r.body, r.chain"
HEAD: Final = "stream, revision, at, chain, summary, seal"
Row: TypeAlias = tuple[object, ...]

_keys = msgspec.json.Decoder(tuple[str, ...])
_no_keys: tuple[tuple[str, ...], str] = ((), "0")


def shown(value: object) -> str:
    """A text of the file, in letters that can be shown."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def encode_keys(keys: tuple[str, ...]) -> str | None:
    """What the column holds; most records take no key."""
    return msgspec.json.encode(keys).decode() if keys else None


def record_of(stream: str, row: Row, *, seq: int) -> Record:
    """A number and ``RECORD`` as a record. Raises ``StoreCorrupt`` when it cannot be one."""
    own, kind, v, at, keys, body, chain = row
    if (
        isinstance(own, int)
        and isinstance(kind, bytes)
        and isinstance(v, int)
        and isinstance(at, int)
        and (keys is None or isinstance(keys, bytes))
        and isinstance(body, bytes)
        and isinstance(chain, bytes)
    ):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return Record(
                stream=stream,
                seq=own,
                kind=kind.decode(),
                v=v,
                body=body,
                at=at,
                keys=() if keys is None else _keys.decode(keys),
                chain=chain,
            )
    raise StoreCorrupt(stream=stream, seq=seq, why="it cannot be read as a record")


def rebuild(
    stream: str, rows: Iterable[tuple[Any, ...]], *, after: int, previous: bytes
) -> list[Record] | None:
    """All rows behind ``after`` as records, if each of them follows the one before.

    This is what reading a history costs, so nothing is looked at twice: a row whose hash comes out
    right has the right number and types too. What is wrong with one that does not is told
    elsewhere.
    """
    records: list[Record] = []
    beginning = told(stream)
    kinds: dict[bytes, tuple[str, str]] = {}
    try:
        for seq, (kind, v, at, keys, body, chain) in enumerate(rows, start=after + 1):
            if kind not in kinds:
                kinds[kind] = kind.decode(), f"{beginning} {told(kind.decode())} "
            name, middle = kinds[kind]
            taken, ending = _no_keys if keys is None else _keys_told(keys)
            line = f"{seq} {v} {at} {middle}{ending}\0"
            if sha256(previous + line.encode() + body).digest() != chain:
                return None
            records.append(
                Record(
                    stream=stream,
                    seq=seq,
                    kind=name,
                    v=v,
                    body=body,
                    at=at,
                    keys=taken,
                    chain=chain,
                )
            )
            previous = chain
    except (TypeError, AttributeError, ValueError, msgspec.MsgspecError):
        return None
    return records


def _keys_told(keys: bytes) -> tuple[tuple[str, ...], str]:
    taken = _keys.decode(keys)
    return taken, " ".join((str(len(taken)), *map(told, taken)))


def head_of(row: Row) -> Head:
    """A row of ``HEAD`` as a head, marked when it is not what was committed."""
    stream, revision, at, chain, summary, seal = row
    name = shown(stream)
    if (
        isinstance(revision, int)
        and isinstance(at, int)
        and isinstance(chain, bytes)
        and isinstance(summary, bytes)
    ):
        right = seal_of(chain, stream=name, revision=revision, at=at, summary=summary)
        return Head(
            stream=name,
            revision=revision,
            at=at,
            chain=chain,
            summary=summary,
            damaged=right != seal,
        )
    return Head(stream=name, revision=0, at=0, chain=b"", damaged=True)
