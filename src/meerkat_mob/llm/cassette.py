"""A cassette: the model calls of a run as data, and as the lines of a file.

It holds what was answered in full, and of what was asked only imprints, enough to know a request
again and to show where another one differs. Histories are one tree in which each message stands
once, however often it was sent: a file grows with what was said and not with its square.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from meerkat_mob.core.safe_json import refuse_deep
from meerkat_mob.errors import CassetteUnreadable
from meerkat_mob.llm.spoken import Spoken, event_of

VERSION: Final = 1
T = TypeVar("T")


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A message of a history: its imprint, and the place of the one before it (None: the first)."""

    after: int | None
    imprint: str


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recorded call.

    ``digest`` names the request. ``setting`` is the place of what it had beside its messages, and
    ``last`` that of its last message, None without any. One that is ``cut`` was stopped by the
    caller: it said ``events`` and had no end.
    """

    digest: str
    setting: int
    last: int | None
    events: tuple[Spoken, ...]
    cut: bool = False


class Cassette(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded calls, in the order in which they began.

    A setting has the imprints of the model, the speaker, each tool and so on, by name.
    """

    provider: str
    messages: tuple[Heard, ...]
    settings: tuple[Mapping[str, str], ...]
    takes: tuple[Take, ...]


class Histories:
    """Every history as a way from a first message; two that begin alike share that part."""

    def __init__(self, messages: Iterable[Heard] = ()) -> None:
        self.messages: list[Heard] = []
        self._hashes: list[bytes] = []
        self._places: dict[tuple[int | None, str], int] = {}
        for message in messages:
            self.place(message.after, message.imprint)

    def place(self, after: int | None, imprint: str) -> int:
        """Where a message stands that follows the one at ``after``; it is added if it is new."""
        known = self._places.get((after, imprint))
        if known is not None:
            return known
        self._places[after, imprint] = place = len(self.messages)
        self.messages.append(Heard(after=after, imprint=imprint))
        self._hashes.append(_joined(self._hash(after), imprint))
        return place

    def digest(self, setting: Mapping[str, str], last: int | None) -> str:
        """The digest of the request with a setting and the history up to ``last``."""
        return _digest(setting, self._hash(last))

    def way(self, last: int | None) -> list[str]:
        """The imprints of a history, from its first message."""
        found: list[str] = []
        while last is not None:
            found.append(self.messages[last].imprint)
            last = self.messages[last].after
        return found[::-1]

    def _hash(self, place: int | None) -> bytes:
        return b"" if place is None else self._hashes[place]


def digest_of(setting: Mapping[str, str], history: Iterable[str]) -> str:
    """The digest of a request that need not be known: lowercase hex SHA-256."""
    so_far = b""
    for imprint in history:
        so_far = _joined(so_far, imprint)
    return _digest(setting, so_far)


def _joined(before: bytes, imprint: str) -> bytes:
    return hashlib.sha256(before + imprint.encode()).digest()


def _digest(setting: Mapping[str, str], history: bytes) -> str:
    return hashlib.sha256(_sorted.encode(setting) + b"\n" + history).hexdigest()


_sorted: Final = msgspec.json.Encoder(order="sorted")

# -- the file ----------------------------------------------------------------------------------


class _Version(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    cassette: int


class _Head(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The first line: what follows it, so that a file that was cut off is found out."""

    cassette: Literal[1]
    provider: str
    messages: int
    settings: int
    takes: int


_version: Final = msgspec.json.Decoder(_Version)
_head: Final = msgspec.json.Decoder(_Head)
_heard: Final = msgspec.json.Decoder(Heard)
_setting: Final[msgspec.json.Decoder[dict[str, str]]] = msgspec.json.Decoder(dict[str, str])
_take: Final = msgspec.json.Decoder(Take)


def encode_cassette(cassette: Cassette) -> bytes:
    """The bytes of a file: UTF-8, a JSON object on each line."""
    head = _Head(
        cassette=VERSION,
        provider=cassette.provider,
        messages=len(cassette.messages),
        settings=len(cassette.settings),
        takes=len(cassette.takes),
    )
    lines = (head, *cassette.messages, *cassette.settings, *cassette.takes)
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def decode_cassette(raw: bytes, *, source: str = "the cassette") -> Cassette:
    """The cassette in a file's bytes; ``source`` names it in errors.

    Raises ``CassetteUnreadable`` with the line of the first fault: what is no cassette, one of
    another version, and one that is damaged or was cut off.
    """
    lines = _Lines(raw, source)
    version = lines.next(_version, "this is no cassette: ").cassette
    if version != VERSION:
        raise lines.fault(f"version {version}", "read it with the version that wrote it")
    head = lines.again(_head)
    histories = Histories()
    for place in range(head.messages):
        heard = lines.next(_heard)
        if heard.after is not None and not 0 <= heard.after < place:
            raise lines.fault(f"there is no message {heard.after} before it")
        if histories.place(heard.after, heard.imprint) != place:
            raise lines.fault("the message is there already")
    settings = [lines.next(_setting) for _ in range(head.settings)]
    takes = [_read_take(lines, histories, settings) for _ in range(head.takes)]
    if not lines.at_end:
        raise lines.fault("more follows than the first line tells")
    return Cassette(
        provider=head.provider,
        messages=tuple(histories.messages),
        settings=tuple(settings),
        takes=tuple(takes),
    )


def _read_take(lines: _Lines, histories: Histories, settings: list[dict[str, str]]) -> Take:
    take = lines.next(_take)
    if not 0 <= take.setting < len(settings):
        raise lines.fault(f"there is no setting {take.setting}")
    if take.last is not None and not 0 <= take.last < len(histories.messages):
        raise lines.fault(f"there is no message {take.last}")
    if histories.digest(settings[take.setting], take.last) != take.digest:
        raise lines.fault("the digest is not that of its messages and setting")
    for index, spoken in enumerate(take.events):
        try:
            event_of(spoken)
        except ValueError as fault:
            raise lines.fault(f"events[{index}]: {fault}") from fault
    return take


class _Lines:
    """The lines of a file, one after another."""

    def __init__(self, raw: bytes, source: str) -> None:
        self._lines, self._source, self._read = raw.splitlines(), source, 0

    @property
    def at_end(self) -> bool:
        return self._read == len(self._lines)

    def next(self, decoder: msgspec.json.Decoder[T], so: str = "") -> T:
        """What the next line says."""
        self._read += 1
        if self._read > len(self._lines):
            raise self.fault(f"{so}it ends here")
        return self.again(decoder, so)

    def again(self, decoder: msgspec.json.Decoder[T], so: str = "") -> T:
        """What the same line says to another decoder."""
        line = self._lines[self._read - 1]
        try:
            refuse_deep(line)
            return decoder.decode(line)
        except (msgspec.DecodeError, ValueError) as fault:
            raise self.fault(f"{so}{fault}") from fault

    def fault(self, why: str, hint: str = "record it again") -> CassetteUnreadable:
        return CassetteUnreadable(source=self._source, line=self._read, why=why, hint=hint)
