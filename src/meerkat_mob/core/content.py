"""Content of a message: plain text, or blocks of text, images and video (spec sessions 1.8).

One lone text block and a plain string mean the same; ``normal`` picks the string. Prompts keep
the form they came in, so nothing here normalises on its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType


class TextBlock(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="text"):
    """A block of text."""

    text: str


class ImageBlock(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="image"
):
    """An image: ``data`` (base64) when ``source`` is inline, ``blob_id`` when it is blob.

    The field of the other source is foreign to this one and is dropped.
    """

    media_type: str
    source: Literal["inline", "blob"]
    data: str | UnsetType = UNSET
    blob_id: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        wanted, foreign = ("data", "blob_id") if self.source == "inline" else ("blob_id", "data")
        if getattr(self, wanted) is UNSET:
            raise ValueError(f"an image with source {self.source!r} needs {wanted!r}")
        msgspec.structs.force_setattr(self, foreign, UNSET)


class VideoBlock(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="video"
):
    """A short video, always inline; never inside tool results."""

    media_type: Literal["video/mp4", "video/webm", "video/quicktime"]
    duration_ms: int
    source: Literal["inline"]
    data: str

    def __post_init__(self) -> None:
        if self.duration_ms <= 0 or not self.data:
            raise ValueError("a video needs data and a duration above 0 ms")


ContentBlock: TypeAlias = TextBlock | ImageBlock | VideoBlock
Content: TypeAlias = str | tuple[ContentBlock, ...]


def text_of(content: Content) -> str:
    """The text projection: media become ``[image: type]``, blocks are joined by newlines."""
    if isinstance(content, str):
        return content
    return "\n".join(
        b.text if isinstance(b, TextBlock) else f"[{_kind(b)}: {b.media_type}]" for b in content
    )


def _kind(block: ImageBlock | VideoBlock) -> str:
    return "image" if isinstance(block, ImageBlock) else "video"


def has_media(content: Content) -> bool:
    """True when an image or a video is inside."""
    return not isinstance(content, str) and any(not isinstance(b, TextBlock) for b in content)


def has_video(content: Content) -> bool:
    """True when a video is inside: not every provider takes one, and no tool result may."""
    return not isinstance(content, str) and any(isinstance(b, VideoBlock) for b in content)


def is_blank(content: Content) -> bool:
    """No media and no text but white space (SES-12)."""
    return not has_media(content) and not text_of(content).strip()


def normal(content: Content) -> Content:
    """The stored form: one lone text block is a plain string."""
    match content:
        case (TextBlock(text=text),):
            return text
        case _:
            return content


def blocks_of(content: Content) -> tuple[ContentBlock, ...]:
    """The block form; blank text has no block."""
    if isinstance(content, str):
        return (TextBlock(text=content),) if content else ()
    return content


def join(parts: Iterable[Content]) -> Content:
    """Several contents as one: texts with a blank line between, else blocks one after another."""
    kept = [p for p in parts if p]
    if all(isinstance(p, str) for p in kept):
        return "\n\n".join(p for p in kept if isinstance(p, str))
    return tuple(b for p in kept for b in blocks_of(p))
