"""What Gemini streams, written by hand. No tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from meerkat_mob.llm import Assembled, Assembler, LlmEvent
from meerkat_mob.llm.failures import Server
from meerkat_mob.llm.gemini import ContentDecoder

SERVER = Server(
    url="http://here/v1beta/models/gemini-3-pro:streamGenerateContent", provider="gemini"
)
USAGE = {
    "promptTokenCount": 11,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "toolUsePromptTokenCount": 2,
    "cachedContentTokenCount": 5,
    "totalTokenCount": 20,
}
Piece = dict[str, Any]


def piece(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> Piece:
    """Some more parts; with a reason to finish it is the last."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [*parts]}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    told = {"usageMetadata": USAGE} if finish else {}
    return {"candidates": [candidate], **told, "modelVersion": "gemini-3-pro", **more}


def text(told: str, signature: str | None = None) -> dict[str, Any]:
    return {"text": told, **_signed(signature)}


def thought(told: str, signature: str | None = None) -> dict[str, Any]:
    return {"text": told, "thought": True, **_signed(signature)}


def call(name: str, args: Any = None, signature: str | None = None, **more: Any) -> dict[str, Any]:
    given = {} if args is None else {"args": args}
    return {"functionCall": {"name": name, **given, **more}, **_signed(signature)}


def _signed(signature: str | None) -> dict[str, Any]:
    return {} if signature is None else {"thoughtSignature": signature}


def heard(*pieces: Piece | str, salt: str = "9") -> Iterator[LlmEvent]:
    decoder = ContentDecoder(SERVER, salt=salt)
    for one in pieces:
        yield from decoder.feed(one if isinstance(one, str) else msgspec.json.encode(one).decode())
    yield from decoder.finish()


def answer(*pieces: Piece | str, salt: str = "9") -> Assembled:
    assembler = Assembler()
    for one in heard(*pieces, salt=salt):
        assembler.feed(one)
    return assembler.finish()
