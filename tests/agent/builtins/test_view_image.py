"""The tool that shows a model an image below the root."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from meerkat_mob.agent.builtins.view_image import MAX_IMAGE, view_image_tool
from meerkat_mob.core.content import ImageBlock, blocks_of
from meerkat_mob.core.tools import ToolOutcome
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm import call
from tests.agent.builtins.kit import PIXEL, call_of, plant, refusal_of
from tests.agent.kit import a_bench

FIRST_BYTES = {
    "image/png": PIXEL,
    "image/jpeg": b"\xff\xd8\xff\xe0 and so on",
    "image/gif": b"GIF89a and so on",
    "image/webp": b"RIFF\x10\0\0\0WEBPVP8 ",
}


async def view(root: Path, path: str) -> ToolOutcome:
    return await call_of(view_image_tool(root), path=path)


@pytest.mark.parametrize("media_type", FIRST_BYTES)
async def test_an_image_is_shown_as_what_its_bytes_say(tmp_path: Path, media_type: str) -> None:
    data = FIRST_BYTES[media_type]
    plant(tmp_path, {"shots/one.txt": data})
    shown = ImageBlock(media_type=media_type, source="inline", data=base64.b64encode(data).decode())
    assert await view(tmp_path, "shots/one.txt") == ToolOutcome(content=(shown,))


@pytest.mark.parametrize("data", [b"", b"BM and so on", b"<svg/>", b"RIFF\0\0\0\0WAVE", b"\x89PNG"])
async def test_what_is_no_image_is_refused_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    plant(tmp_path, {"one.png": data})
    code, message = refusal_of(await view(tmp_path, "one.png"))
    assert (code, "one.png: this is no PNG" in message) == ("tool_error", True)


async def test_one_byte_more_than_the_bound_is_too_large(tmp_path: Path) -> None:
    plant(tmp_path, {"fits.png": PIXEL.ljust(MAX_IMAGE), "large.png": PIXEL.ljust(MAX_IMAGE + 1)})
    assert not (await view(tmp_path, "fits.png")).is_error
    code, message = refusal_of(await view(tmp_path, "large.png"))
    assert (code, str(MAX_IMAGE) in message) == ("tool_error", True)


async def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, {"folder/one.png": PIXEL})
    for path in ("two.png", "nowhere/one.png", "folder", "folder/one.png/x", ".", ""):
        code, message = refusal_of(await view(tmp_path, path))
        assert code == "tool_error", path
        assert message.startswith(f"{path}: ")


async def test_what_lies_outside_is_refused(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"in.png": PIXEL})
    plant(tmp_path, {"out.png": PIXEL})
    (root / "link.png").symlink_to(tmp_path / "out.png")
    (root / "inner.png").symlink_to("in.png")
    for path in ("../out.png", str(tmp_path / "out.png"), "link.png", "inner.png", "in.png\0"):
        assert refusal_of(await view(root, path))[0] == "access_denied"


async def test_the_model_sees_it(tmp_path: Path) -> None:
    """As an image in the request after the call, and no other text with it."""
    plant(tmp_path, {"one.png": PIXEL})
    bench = a_bench([call("view_image", path="one.png"), "A dot."], view_image_tool(tmp_path))
    await bench.agent.run("What is there?")
    (result,) = bench.results
    (block,) = blocks_of(result.content)
    assert isinstance(block, ImageBlock)
    assert block.media_type == "image/png"


def test_a_root_that_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    plant(tmp_path, {"file": b""})
    for root in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(InvalidParams, match="is no folder"):
            view_image_tool(root)
