"""The messages of a running session, and everything that is counted while they arrive.

Cost is O(what is new): a message is encoded once, its bytes are kept beside it, and the digest and
the counters move with each push. Nothing here walks the history except ``rewrite``, ``fork_at``
and ``from_encoded``, which are rare and say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar, overload

from meerkat_mob.core.blobs import (
    Blob,
    blob_ids,
    contents_of,
    kept_form,
    without_inline_images,
)
from meerkat_mob.core.content import Content
from meerkat_mob.core.digest import ConversationDigest
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    Message,
    SystemMessage,
    ToolResults,
    UserMessage,
    decode_message,
    encode_stored,
    text_of_message,
    tool_uses,
)

ItemT_co = TypeVar("ItemT_co", covariant=True)


class View(Sequence[ItemT_co]):
    """The first ``len`` items of a list that only ever grows: read-only, stable, never a copy.

    Whoever holds one sees the same items for ever, whatever is pushed afterwards.
    """

    __slots__ = ("_count", "_items")

    def __init__(self, items: Sequence[ItemT_co], count: int) -> None:
        self._items, self._count = items, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ItemT_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ItemT_co]: ...
    def __getitem__(self, index: int | slice) -> ItemT_co | Sequence[ItemT_co]:
        if isinstance(index, slice):
            return tuple(self._items[i] for i in range(*index.indices(self._count)))
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(f"no item {index} in a view of {self._count}")
        return self._items[place]

    def __iter__(self) -> Iterator[ItemT_co]:
        return islice(self._items, self._count)

    def __repr__(self) -> str:
        return f"<view of {self._count}>"


class Transcript:
    """An append-only list of messages with their stored bytes, their digest and their counters.

    The lists behind it are shared with views and forks. A push appends to them in place only
    while nobody else has (their length is still ours); else it goes on with a copy. So a fork
    costs nothing until one side writes, and no view ever changes (SES-5).
    """

    __slots__ = (
        "_answer_count",
        "_blobs",
        "_count",
        "_digest",
        "_encoded",
        "_image_count",
        "_images",
        "_last_assistant_text",
        "_messages",
        "_size",
        "_tool_call_count",
    )

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._encoded: list[bytes] = []
        self._digest = ConversationDigest()
        self._count = 0
        self._size = 0
        self._answer_count = self._tool_call_count = 0
        self._last_assistant_text: str | None = None
        self._blobs: dict[str, Blob] = {}
        self._images: list[str] = []
        self._image_count = 0

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Transcript:
        """A transcript of messages that were never stored."""
        made = cls()
        made.push_batch(messages)
        return made

    @classmethod
    def from_encoded(cls, encoded: Iterable[bytes]) -> Transcript:
        """A transcript read back from stored bytes, which are kept and hashed as they are."""
        made = cls()
        for raw in encoded:
            made.push_encoded(raw)
        return made

    def __eq__(self, other: object) -> bool:
        """The same stored messages. Told from the digests, so it costs what is new to them."""
        if not isinstance(other, Transcript):
            return NotImplemented
        if self._encoded is other._encoded and self._count == other._count:
            return True
        return self._count == other._count and self.digest() == other.digest()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<transcript of {self._count} messages>"

    # -- growing ------------------------------------------------------------------------------

    def push(self, message: Message) -> bytes:
        """Appends a message, as it is kept, and returns its stored bytes (BLB-3)."""
        kept, moved = kept_form(message)
        raw = encode_stored(kept)
        if moved:
            self._blobs.update(moved)
        self._append(kept, raw)
        return raw

    def push_batch(self, messages: Iterable[Message]) -> tuple[bytes, ...]:
        """Appends all messages in order, or none, and returns their stored bytes."""
        kept = [kept_form(message) for message in messages]
        raws = tuple(encode_stored(message) for message, _ in kept)
        for (message, moved), raw in zip(kept, raws, strict=True):
            self._blobs.update(moved)
            self._append(message, raw)
        return raws

    def extend_stored(self, messages: Iterable[Message], encoded: Iterable[bytes]) -> None:
        """Appends messages that were read back, each with its stored bytes."""
        for message, raw in zip(messages, encoded, strict=True):
            self._append(message, raw)

    def push_encoded(self, raw: bytes) -> None:
        """Appends a message from its stored bytes, which are kept and hashed as they are.

        Raises ``ValueError`` for what is no message.
        """
        self._append(decode_message(raw), raw)

    def keep_images(self, content: Content) -> Content:
        """A content for a later message, without its inline images: they are kept here (BLB-3)."""
        named, moved = without_inline_images(content)
        self._blobs.update(moved)
        return named

    def _append(self, message: Message, raw: bytes) -> None:
        if len(self._messages) != self._count:  # another fork wrote here first
            self._messages = self._messages[: self._count]
            self._encoded = self._encoded[: self._count]
        self._messages.append(message)
        self._encoded.append(raw)
        self._count += 1
        self._size += len(raw)
        for content in contents_of(message):
            self._refer_to(blob_ids(content))
        if isinstance(message, (AssistantMessage, AssistantFlat)):
            self._answer_count += 1
            self._tool_call_count += len(tool_uses(message))
            self._last_assistant_text = text_of_message(message) or self._last_assistant_text

    def _refer_to(self, images: tuple[str, ...]) -> None:
        if len(self._images) != self._image_count:  # as for messages
            self._images = self._images[: self._image_count]
        self._images.extend(images)
        self._image_count += len(images)

    # -- reading: all O(1), except what a caller iterates -------------------------------------

    def __len__(self) -> int:
        return self._count

    def view(self) -> View[Message]:
        """The messages so far, without a copy; what is pushed later does not show in it."""
        return View(self._messages, self._count)

    def encoded(self) -> View[bytes]:
        """The stored bytes of the messages so far."""
        return View(self._encoded, self._count)

    def slice(self, offset: int = 0, limit: int | None = None) -> tuple[Message, ...]:
        """At most ``limit`` messages from ``offset`` on; beyond the end there are none."""
        start = min(max(offset, 0), self._count)
        stop = self._count if limit is None else min(start + max(limit, 0), self._count)
        return tuple(self._messages[start:stop])

    def digest(self) -> str:
        """The conversation digest of the messages so far (RCP-1)."""
        self._catch_up()
        return self._digest.hexdigest()

    def _catch_up(self) -> None:
        """Hashes what is new. Not before somebody asks: who only reads a history needs no hash.

        A fork asks, so that what two of them share is hashed once.
        """
        for place in range(self._digest.count, self._count):
            self._digest.push(self._encoded[place])

    @property
    def has_pending_boundary(self) -> bool:
        """True when the last message waits for an answer of the model (SES-2)."""
        return isinstance(self.last, (UserMessage, ToolResults))

    @property
    def last(self) -> Message | None:
        """The newest message; None when there is none."""
        return self._messages[self._count - 1] if self._count else None

    @property
    def last_assistant_text(self) -> str | None:
        """The text of the newest assistant message that has any; None when none has (SES-4)."""
        return self._last_assistant_text

    @property
    def answer_count(self) -> int:
        """Answers of a model."""
        return self._answer_count

    @property
    def tool_call_count(self) -> int:
        """Tool calls over all assistant messages (SES-6)."""
        return self._tool_call_count

    @property
    def size(self) -> int:
        """The stored bytes of all messages: what they cost a model is estimated by it."""
        return self._size

    @property
    def blob_ids(self) -> View[str]:
        """The images that the messages refer to, in order, as often as they do."""
        return View(self._images, self._image_count)

    @property
    def blobs(self) -> Mapping[str, Blob]:
        """The images that came in with messages pushed here or into a fork, by id.

        Forks and rewrites share them: an image is held once, and as long as one of them lives.
        """
        return self._blobs

    def forget_blobs(self, ids: Iterable[str]) -> None:
        """Lets go of images that are kept elsewhere now; for all forks at once."""
        for name in ids:
            self._blobs.pop(name, None)

    @property
    def system_prompt(self) -> str | None:
        """The System message at 0; None when there is none."""
        first = self._messages[0] if self._count else None
        return first.content if isinstance(first, SystemMessage) else None

    # -- the rare, O(history) changes ---------------------------------------------------------

    def rewrite(self, start: int, stop: int, messages: Iterable[Message]) -> None:
        """Puts ``messages`` in the place of those from ``start`` to before ``stop``.

        The bytes of all others are kept. Older views and forks keep what they saw. Raises
        ``IndexError`` when the range is not inside the transcript.
        """
        if not 0 <= start <= stop <= self._count:
            raise IndexError(f"no range {start}:{stop} in a transcript of {self._count}")
        new = self._sharing_images()
        self._copy_into(new, 0, start)
        new.push_batch(messages)
        self._copy_into(new, stop, self._count)
        self._become(new)

    def replace_all(self, messages: Iterable[Message]) -> None:
        """Puts ``messages`` in the place of the whole history."""
        self.rewrite(0, self._count, messages)

    def set_system_prompt(self, text: str) -> None:
        """Replaces the System message at 0, or inserts one there (SES-3).

        On an empty transcript this is a push; on a history it costs O(history).
        """
        stop = 0 if self.system_prompt is None else 1
        self.rewrite(0, stop, (SystemMessage(content=text),))

    def _sharing_images(self) -> Transcript:
        other = Transcript()
        other._blobs = self._blobs
        return other

    def _copy_into(self, other: Transcript, start: int, stop: int) -> None:
        for place in range(start, stop):
            other._append(self._messages[place], self._encoded[place])

    def _become(self, other: Transcript) -> None:
        self._messages, self._encoded, self._count = other._messages, other._encoded, other._count
        self._size = other._size
        self._images, self._image_count = other._images, other._image_count
        self._digest, self._blobs = other._digest, other._blobs
        self._answer_count = other._answer_count
        self._tool_call_count = other._tool_call_count
        self._last_assistant_text = other._last_assistant_text

    def continues(self, earlier: Transcript) -> bool:
        """Whether this is ``earlier`` with nothing but pushes behind it. Tells it without looking.

        False may also mean that nobody knows: whoever asks then compares the bytes.
        """
        return self._encoded is earlier._encoded and self._count >= earlier._count

    def restore(self, earlier: Transcript) -> None:
        """Becomes what ``earlier`` is; whoever holds this transcript goes on from there. O(1)."""
        self._become(earlier.fork())

    # -- forks --------------------------------------------------------------------------------

    def fork(self) -> Transcript:
        """A second transcript with the same past, in O(1): it is shared until one side writes."""
        self._catch_up()
        other = Transcript()
        other._become(self)
        other._digest = self._digest.copy()
        return other

    def fork_at(self, count: int) -> Transcript:
        """A fork of the first ``count`` messages, or of all when there are fewer (SES-5)."""
        kept = min(max(count, 0), self._count)
        if kept == self._count:
            return self.fork()
        other = self._sharing_images()
        self._copy_into(other, 0, kept)
        return other
