"""The tool ``view_image``: shows the model an image that lies below the root.

What an image is, its first bytes say, never its name. Only types that providers take are shown.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from meerkat_mob.agent.builtins.provenance import as_builtin, refusal
from meerkat_mob.agent.builtins.root import Root
from meerkat_mob.agent.functions import tool
from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.tools import Tool, ToolOutcome, tool_error
from meerkat_mob.errors import ToolFailed

MAX_IMAGE: Final = 5_000_000
"""Bytes of the largest image that is shown."""

ImagePath = Annotated[str, Meta(description="The image, relative to the root of the files.")]


def view_image_tool(root: Path | str) -> Tool:
    """The tool. Its result is the image itself, so it costs what an image costs with the model.

    Raises ``InvalidParams`` when ``root`` is no folder.
    """
    files = Root(root)

    @tool(
        name="view_image",
        description="Look at an image file: PNG, JPEG, GIF or WebP, at most 5 MB.",
    )
    def view(path: ImagePath) -> ToolOutcome:
        try:
            data = files.read(path, limit=MAX_IMAGE).data
        except (OSError, ToolFailed) as fault:
            return tool_error(*refusal(path, fault))
        media_type = image_type(data)
        if media_type is None:
            return tool_error("tool_error", f"{path}: this is no PNG, JPEG, GIF or WebP image")
        text = base64.b64encode(data).decode()
        return ToolOutcome(content=(ImageBlock(media_type=media_type, source="inline", data=text),))

    return as_builtin(view)


def image_type(data: bytes) -> str | None:
    """The media type that the first bytes tell; None when they are of no image we know."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
