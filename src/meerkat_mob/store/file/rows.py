"""Between rows and structs. A row read back is believed only as far as its hashes go."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.store.chain import seal_of
from meerkat_mob.store.protocol import Head, Record

RECORD: Final = "seq, kind, v, at, keys, body, chain"
HEAD: Final = "stream, revision, at, chain, summary, seal"
Row: TypeAlias = tuple[object, ...]

_keys = msgspec.json.Decoder(tuple[str, ...])


class _RecordRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    seq: int
    kind: bytes
    v: int
    at: int
    keys: bytes | None
    body: bytes
    chain: bytes


class _HeadRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    stream: bytes
    revision: int
    at: int
    chain: bytes
    summary: bytes
    seal: bytes


def encode_keys(keys: tuple[str, ...]) -> str | None:
    """What the column holds; most records take no key."""
    return msgspec.json.encode(keys).decode() if keys else None


def record_of(stream: str, row: Row, *, seq: int) -> Record:
    """A row of ``RECORD`` as a record. Raises ``StoreCorrupt`` when it cannot be one."""
    try:
        told = msgspec.convert(row, _RecordRow, builtin_types=(bytes,))
        return Record(
            stream=stream,
            seq=told.seq,
            kind=told.kind.decode(),
            v=told.v,
            body=told.body,
            at=told.at,
            keys=_keys.decode(told.keys) if told.keys else (),
            chain=told.chain,
        )
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreCorrupt(stream=stream, seq=seq, why="it cannot be read as a record") from error


def head_of(row: Row) -> Head:
    """A row of ``HEAD`` as a head, marked when it is not what was committed."""
    try:
        told = msgspec.convert(row, _HeadRow, builtin_types=(bytes,))
        stream = told.stream.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        name = row[0].decode(errors="replace") if isinstance(row[0], bytes) else str(row[0])
        return Head(stream=name, revision=0, at=0, chain=b"", damaged=True)
    seal = seal_of(
        told.chain, stream=stream, revision=told.revision, at=told.at, summary=told.summary
    )
    return Head(
        stream=stream,
        revision=told.revision,
        at=told.at,
        chain=told.chain,
        summary=told.summary,
        damaged=seal != told.seal,
    )
