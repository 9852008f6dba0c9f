"""What a commit must be, before any home looks at what it holds.

The rule: every home calls this first, so none takes what another would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import InvalidParams
from meerkat_mob.store.protocol import Append

NEWEST_FORMAT: Final = 2**31 - 1
LARGEST: Final = 2**28
"""Bytes of one record, summary or blob; SQLite takes less than four times as much."""


def check(appends: Sequence[Append], blobs: Sequence[Blob]) -> None:
    """Raises ``InvalidParams``, naming the stream, for what no store could keep."""
    for append in appends:
        if append.unique and not append.records:
            raise InvalidParams(what="a key needs a record to belong to", path=append.stream)
        if append.head is not UNSET and not append.records and append.expected == 0:
            raise InvalidParams(what="a head needs a stream with a record", path=append.stream)
        for record in append.records:
            if not 0 <= record.v <= NEWEST_FORMAT:
                raise InvalidParams(what=f"{record.v} is no record format", path=append.stream)
            _small_enough(record.body, path=append.stream)
        if append.head is not UNSET:
            _small_enough(append.head, path=append.stream)
        words = (append.stream, *append.unique, *(record.kind for record in append.records))
        _encodable(words, path=append.stream)
    for blob in blobs:
        _small_enough(blob.data, path="blobs")
        _encodable((blob.media_type, blob.data), path="blobs")


def _small_enough(data: bytes | str, *, path: str) -> None:
    if len(data) > LARGEST:
        raise InvalidParams(what=f"{len(data)} bytes are more than {LARGEST}", path=path)


def _encodable(words: Sequence[str], *, path: str) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as fault:
            place = path.encode(errors="backslashreplace").decode()
            raise InvalidParams(
                what=f"{word[fault.start]!r} has no place in a text", path=place
            ) from fault
