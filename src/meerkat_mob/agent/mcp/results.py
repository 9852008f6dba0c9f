"""What a server's answer to a call becomes for the model.

Texts and images are shown. Everything else is named, so that the model knows it is there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from mcp import types

from meerkat_mob.agent.builtins.view_image import MAX_IMAGE, image_type
from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock, normal, text_of
from meerkat_mob.core.tools import ToolOutcome, tool_error

MOST_TEXT: Final = 100_000
"""Characters of one result that a model is shown."""


def outcome_of(result: types.CallToolResult) -> ToolOutcome:
    """The result of a call; one that the server marks as an error is a ``tool_error``."""
    blocks = [_block(block) for block in result.content]
    if result.structured_content is not None and not _has_text(blocks):
        told = msgspec.json.encode(result.structured_content).decode()
        blocks.append(TextBlock(text=told))
    content: Content = normal(tuple(_cut(blocks)))
    if result.is_error:
        return tool_error("tool_error", text_of(content))
    return ToolOutcome(content=content or "done")


def _has_text(blocks: Iterable[ContentBlock]) -> bool:
    return any(isinstance(block, TextBlock) for block in blocks)


def _block(block: types.ContentBlock) -> ContentBlock:
    match block:
        case types.TextContent():
            return TextBlock(text=block.text)
        case types.ImageContent():
            return _image(block)
        case types.AudioContent():
            return TextBlock(text=f"[audio: {block.mime_type}, not shown]")
        case types.ResourceLink():
            about = f": {block.description}" if block.description else ""
            return TextBlock(text=f"[{block.name}: {block.uri}{about}]")
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return TextBlock(text=f"[{resource.uri}]\n{resource.text}")
        case types.EmbeddedResource(resource=resource):
            kind = resource.mime_type or "of an unknown type"
            return TextBlock(text=f"[{resource.uri}: {kind}, not shown]")


def _image(block: types.ImageContent) -> ContentBlock:
    """An image is shown if its first bytes say what it is, whatever the server says."""
    try:
        data = base64.b64decode(block.data, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    kind = image_type(data)
    if kind is None or len(data) > MAX_IMAGE:
        why = "more than 5 MB" if kind else "no PNG, JPEG, GIF or WebP"
        return TextBlock(text=f"[image: {block.mime_type}, not shown: {why}]")
    return ImageBlock(media_type=kind, source="inline", data=block.data)


def _cut(blocks: Iterable[ContentBlock]) -> Iterator[ContentBlock]:
    """The blocks, their texts no longer than ``MOST_TEXT`` together."""
    room = MOST_TEXT
    for block in blocks:
        if not isinstance(block, TextBlock) or len(block.text) <= room:
            room -= len(block.text) if isinstance(block, TextBlock) else 0
            yield block
            continue
        more = len(block.text) - room
        yield TextBlock(text=f"{block.text[:room]}\n[… {more} characters left out …]")
        room = 0
