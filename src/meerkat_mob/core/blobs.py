"""Images outside messages: named by their content, kept once (spec sessions 1.9).

The rule: a message that is stored holds no inline image. ``Transcript.push`` moves them out, and
whoever sends a message to a provider puts them back for that request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock


class Blob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something too large for a record, as base64 text. Its name is its content (BLB-1)."""

    media_type: str
    data: str

    @property
    def id(self) -> str:
        """Computed: keep it if you need it twice."""
        return blob_id(self.media_type, self.data)


def blob_id(media_type: str, data: str) -> str:
    """The id of an image given as base64 text: the same image always has the same one."""
    return "sha256:" + hashlib.sha256(f"{media_type}\0{data}".encode()).hexdigest()


def blob_ids(content: Content) -> tuple[str, ...]:
    """The blobs a content refers to, in order."""
    if isinstance(content, str):
        return ()
    found = (b.blob_id for b in content if isinstance(b, ImageBlock))
    return tuple(name for name in found if name is not UNSET)


def without_inline_images(content: Content) -> tuple[Content, tuple[Blob, ...]]:
    """The content with each inline image replaced by its name, and those images (BLB-3).

    The content itself when it has none. Videos stay where they are: they are sent once.
    """
    if isinstance(content, str) or not any(map(_is_inline, content)):
        return content, ()
    blocks: list[ContentBlock] = []
    moved: list[Blob] = []
    for block in content:
        if isinstance(block, ImageBlock) and block.data is not UNSET:
            blob = Blob(media_type=block.media_type, data=block.data)
            moved.append(blob)
            blocks.append(ImageBlock(media_type=block.media_type, source="blob", blob_id=blob.id))
        else:
            blocks.append(block)
    return tuple(blocks), tuple(moved)


def with_inline_images(content: Content, blobs: Mapping[str, Blob]) -> Content:
    """The content with each named image put back; one that is gone is told as text (BLB-4)."""
    if isinstance(content, str) or not blob_ids(content):
        return content
    return tuple(_inline(block, blobs) for block in content)


def _is_inline(block: ContentBlock) -> bool:
    return isinstance(block, ImageBlock) and block.source == "inline"


def _inline(block: ContentBlock, blobs: Mapping[str, Blob]) -> ContentBlock:
    if not isinstance(block, ImageBlock) or block.blob_id is UNSET:
        return block
    blob = blobs.get(block.blob_id)
    if blob is None:
        return TextBlock(text=f"[image unavailable: {block.blob_id}]")
    return ImageBlock(media_type=blob.media_type, source="inline", data=blob.data)
