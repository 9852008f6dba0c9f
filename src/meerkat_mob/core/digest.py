"""The conversation digest, as a running hash (spec sessions RCP-1).

It equals the lowercase hex SHA-256 of the compact JSON array of the stored messages, but costs
only what is new: push each message's bytes once, copy and close when a digest is wanted.
"""

from __future__ import annotations

import hashlib
from typing import Final

_OPENED: Final = hashlib.sha256(b"[")


class ConversationDigest:
    """The hash of a growing list of encoded messages."""

    __slots__ = ("_hash", "count")

    def __init__(self) -> None:
        self._hash = _OPENED.copy()
        self.count = 0

    def push(self, encoded: bytes) -> None:
        """Takes the next message's stored bytes."""
        self._hash.update(b"," + encoded if self.count else encoded)
        self.count += 1

    def copy(self) -> ConversationDigest:
        """A second hash with the same past; from here on the two go their own ways."""
        other = ConversationDigest()
        other._hash, other.count = self._hash.copy(), self.count
        return other

    def hexdigest(self) -> str:
        """The digest of what was pushed so far; pushing may go on."""
        closed = self._hash.copy()
        closed.update(b"]")
        return closed.hexdigest()
