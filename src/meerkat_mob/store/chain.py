"""The hashes that tie a stream together. Every home computes the same ones.

The rule: these bytes are part of the format on disk. Changing what is hashed, or how it is laid
out, is a new format of the store.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from meerkat_mob.store.protocol import NewRecord, Record

GENESIS: Final = bytes(32)
"""The chain before the first record."""


def chain_of(
    previous: bytes,
    *,
    stream: str,
    seq: int,
    kind: str,
    v: int,
    at: int,
    keys: tuple[str, ...],
    body: bytes,
) -> bytes:
    """SHA-256 over the previous chain, a line of what the record says of itself, and its body.

    Numbers end with a space and texts come behind the number of their bytes, so each line can be
    read in one way only; the body comes last and needs no length.
    """
    line = f"{seq} {v} {at} {told(stream)} {told(kind)} {len(keys)}"
    if keys:
        line = " ".join((line, *map(told, keys)))
    return sha256(previous + line.encode() + b"\0" + body).digest()


def told(text: str) -> str:
    """A text behind the number of its bytes."""
    return f"{len(text) if text.isascii() else len(text.encode())} {text}"


def chained(
    previous: bytes, new: NewRecord, *, stream: str, seq: int, at: int, keys: tuple[str, ...]
) -> Record:
    """The record that ``new`` becomes behind the one whose chain is ``previous``."""
    chain = chain_of(
        previous,
        stream=stream,
        seq=seq,
        kind=new.kind,
        v=new.v,
        at=at,
        keys=keys,
        body=new.body,
    )
    return Record(
        stream=stream,
        seq=seq,
        kind=new.kind,
        v=new.v,
        body=new.body,
        at=at,
        keys=keys,
        chain=chain,
    )


def follows(previous: bytes, record: Record) -> bool:
    """Whether a record read back is the one that was kept behind ``previous``."""
    return record.chain == chain_of(
        previous,
        stream=record.stream,
        seq=record.seq,
        kind=record.kind,
        v=record.v,
        at=record.at,
        keys=record.keys,
        body=record.body,
    )


def seal_of(chain: bytes, *, stream: str, revision: int, at: int, summary: bytes) -> bytes:
    """SHA-256 that ties a head's summary to the last record of its stream."""
    line = f"{told(stream)} {revision} {at}"
    return sha256(chain + line.encode() + b"\0" + summary).digest()
