"""What a request will cost, before it is made: what the last one did, and what came since.

Where no usage was ever told, four bytes are a token (CMP-2). Nothing here walks the history.
"""

from __future__ import annotations

from typing import Final

from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage

BYTES: Final = 4
"""Of a text, for each token."""
IMAGE: Final = 1600
"""Tokens of an image, when nobody says."""


class ContextSize:
    """The size of one agent's requests, in tokens."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._tokens: int | None = None
        self._at = 0

    def of_request(self, around: Surroundings) -> int:
        """What the next request is thought to cost as input."""
        size = self._transcript.size
        if self._tokens is None or size < self._at:  # unknown, or the history was rewritten
            text = size + around.tools.size + len(around.notes)
            return text // BYTES + IMAGE * len(self._transcript.blob_ids)
        return self._tokens + (size - self._at) // BYTES

    def consumed(self, usage: Usage | None, around: Surroundings, said: str) -> int:
        """What a call has consumed: as its server told, or as it seems."""
        if usage is None:
            return self.of_request(around) + len(said) // BYTES
        self._tokens, self._at = usage.input_tokens, self._transcript.size
        return usage.total
