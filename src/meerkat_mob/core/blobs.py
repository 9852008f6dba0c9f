"""Images outside messages: named by their content, kept once (spec sessions 1.9).

The rule: a message that is stored holds no inline image. ``Transcript.push`` moves them out, and
whoever sends a message to a provider puts them back for that request. Text costs nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock
from meerkat_mob.core.messages import Message, ToolResult, ToolResults, UserMessage, stored_form


class Blob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something too large for a record, as base64 text. Its name is its content (BLB-1)."""

    media_type: str
    data: str

    @property
    def id(self) -> str:
        """Computed: keep it if you need it twice."""
        return blob_id(self.media_type, self.data)


NO_BLOBS: Final[Mapping[str, Blob]] = MappingProxyType({})


def blob_id(media_type: str, data: str) -> str:
    """The id of an image given as base64 text: the same image always has the same one."""
    name = hashlib.sha256(f"{media_type}\0".encode())
    name.update(data.encode())
    return f"sha256:{name.hexdigest()}"


# -- content -----------------------------------------------------------------------------------


def blob_ids(content: Content) -> tuple[str, ...]:
    """The blobs a content refers to, in order."""
    if isinstance(content, str):
        return ()
    found = (block.blob_id for block in content if isinstance(block, ImageBlock))
    return tuple(name for name in found if name is not UNSET)


def without_inline_images(content: Content) -> tuple[Content, Mapping[str, Blob]]:
    """The content with each inline image replaced by its name, and those images (BLB-3).

    The content itself when it has none. Videos stay where they are: they are sent once.
    """
    if isinstance(content, str) or not any(map(_is_inline, content)):
        return content, NO_BLOBS
    moved: dict[str, Blob] = {}
    return tuple(_named(block, moved) for block in content), moved


def with_inline_images(content: Content, blobs: Mapping[str, Blob]) -> Content:
    """The content with each named image put back; one that is gone is told as text (BLB-4)."""
    if isinstance(content, str) or not blob_ids(content):
        return content
    return tuple(_inline(block, blobs) for block in content)


def _is_inline(block: ContentBlock) -> bool:
    return isinstance(block, ImageBlock) and block.data is not UNSET


def _named(block: ContentBlock, moved: dict[str, Blob]) -> ContentBlock:
    if not isinstance(block, ImageBlock) or block.data is UNSET:
        return block
    blob = Blob(media_type=block.media_type, data=block.data)
    name = blob.id
    moved[name] = blob
    return ImageBlock(media_type=block.media_type, source="blob", blob_id=name)


def _inline(block: ContentBlock, blobs: Mapping[str, Blob]) -> ContentBlock:
    if not isinstance(block, ImageBlock) or block.blob_id is UNSET:
        return block
    blob = blobs.get(block.blob_id)
    if blob is None:
        return TextBlock(text=f"[image unavailable: {block.blob_id}]")
    return ImageBlock(media_type=blob.media_type, source="inline", data=blob.data)


# -- messages ----------------------------------------------------------------------------------


def contents_of(message: Message) -> tuple[Content, ...]:
    """The contents of a message that may hold media; those that are a plain text are left out."""
    if isinstance(message, UserMessage):
        return () if isinstance(message.content, str) else (message.content,)
    if isinstance(message, ToolResults):
        return tuple([r.content for r in message.results if not isinstance(r.content, str)])
    return ()


def kept_form(message: Message) -> tuple[Message, Mapping[str, Blob]]:
    """The message as a transcript keeps it, and the images that were moved out of it."""
    if not contents_of(message):
        return message, NO_BLOBS
    moved: dict[str, Blob] = {}
    match message:
        case UserMessage(content=content):
            message = msgspec.structs.replace(message, content=_moved(content, moved))
        case ToolResults(results=results):
            message = ToolResults(results=tuple(_result(r, moved) for r in results))
        case _:
            pass
    return stored_form(message), moved


def _result(result: ToolResult, moved: dict[str, Blob]) -> ToolResult:
    return msgspec.structs.replace(result, content=_moved(result.content, moved))


def _moved(content: Content, moved: dict[str, Blob]) -> Content:
    named, found = without_inline_images(content)
    moved.update(found)
    return named
