"""A conversation as the items of a request, of which only what is new is written. No I/O in here.

Each request tells the whole conversation once more. Its beginning was told before, in the same
bytes: so they are kept, up to the last answer, and what follows is written anew. The rule: the
bytes are those that would be written without any memory; whoever changes a message, or can show an
image that was missing, has the beginning written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from operator import is_
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.blobs import Blob, blob_ids, contents_of
from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.messages import Message

GO_ON: Final = "Go on."
"""What is said behind an answer that nobody has answered: models want to be spoken to last."""
MOST: Final = 16 * 2**20
"""Bytes of one conversation that are kept; what is longer has its later part written each time."""


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Some messages as the items of a request.

    ``before`` is about the last answer that begins an item behind others: how many messages of the
    conversation are before it, and how many of these items. What follows does not change those.
    """

    items: Sequence[object]
    before: tuple[int, int] = (0, 0)


Translate: TypeAlias = Callable[[int], Items]
"""Translates all messages from that one on: it is the first, or an answer that begins an item."""


class Written:
    """The beginning of one conversation in one dialect. It belongs to whose conversation it is.

    So it goes when that goes: no client holds a history.
    """

    def __init__(self) -> None:
        self._forget(("", ""))

    def _forget(self, dialect: tuple[str, str]) -> None:
        self._dialect, self._size = dialect, 0
        self._messages: list[Message] = []  # the last of them is the answer behind the bytes
        self._chunks: list[bytes] = []
        self._images: set[str] = set()
        self._missing: set[str] = set()

    def items(
        self,
        messages: Sequence[Message],
        blobs: Mapping[str, Blob],
        dialect: tuple[str, str],
        translate: Translate,
    ) -> bytes:
        """The items, with commas between them."""
        if dialect != self._dialect or not self._begins(messages, blobs):
            self._forget(dialect)
        start = max(len(self._messages) - 1, 0)
        told = translate(start)
        (end, count), rest = told.before, told.items
        if end > start and self._keep(messages, start, end, blobs, rest[:count]):
            rest = rest[count:]
        return b",".join((*self._chunks, encoded(rest)) if rest else self._chunks)

    def _begins(self, messages: Sequence[Message], blobs: Mapping[str, Blob]) -> bool:
        """Whether a conversation begins with these very messages, and shows the same images."""
        return (
            len(messages) >= len(self._messages)
            and all(map(is_, self._messages, messages))
            and self._images <= blobs.keys()
            and self._missing.isdisjoint(blobs)
        )

    def _keep(
        self,
        messages: Sequence[Message],
        start: int,
        end: int,
        blobs: Mapping[str, Blob],
        items: Sequence[object],
    ) -> bool:
        """Keeps the items of these messages, unless that is too much."""
        chunk = encoded(items)
        if self._size + len(chunk) > MOST:
            return False
        settled = [*islice(messages, start, end + 1)]
        self._messages[start:] = settled
        self._chunks.append(chunk)
        self._size += len(chunk)
        named = {name for one in settled for part in contents_of(one) for name in blob_ids(part)}
        self._images |= named & blobs.keys()
        self._missing |= named - blobs.keys()
        return True


def write(
    written: Written | None,
    messages: Sequence[Message],
    blobs: Mapping[str, Blob],
    dialect: tuple[str, str],
    translate: Translate,
) -> bytes:
    """A conversation as items with commas between them; ``dialect`` is its name, and the model's.

    Without a memory of it all is written.
    """
    if written is None:
        return encoded(translate(0).items)
    return written.items(messages, blobs, dialect, translate)


def encoded(items: Iterable[object]) -> bytes:
    """Items as JSON, without the brackets around them."""
    return msgspec.json.encode([*items])[1:-1]


def with_items(body: JsonObject, name: str, items: bytes) -> bytes:
    """The JSON of a body, and in it what was written already."""
    head = msgspec.json.encode(body)[:-1]
    comma = b"," if len(head) > 1 else b""
    return b"".join((head, comma, b'"', name.encode(), b'":[', items, b"]}"))
