"""Content: plain text or blocks, and what both have in common."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from msgspec import UNSET

from meerkat_mob.core import content as c
from meerkat_mob.core.content import Content, ContentBlock, ImageBlock, TextBlock, VideoBlock
from tests import strategies

IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")
BLOB = ImageBlock(media_type="image/png", source="blob", blob_id="sha256:00")
VIDEO = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="AA")

BLOCKS = [
    (TextBlock(text="hé"), '{"type":"text","text":"hé"}'),
    (IMAGE, '{"type":"image","media_type":"image/png","source":"inline","data":"aGk="}'),
    (BLOB, '{"type":"image","media_type":"image/png","source":"blob","blob_id":"sha256:00"}'),
    (
        VIDEO,
        '{"type":"video","media_type":"video/mp4","duration_ms":5,"source":"inline","data":"AA"}',
    ),
]


@pytest.mark.parametrize(("block", "wire"), BLOCKS)
def test_every_block_is_read_and_written_the_same(block: ContentBlock, wire: str) -> None:
    assert msgspec.json.encode(block).decode() == wire
    decoded: ContentBlock = msgspec.json.decode(wire, type=ContentBlock)
    assert decoded == block


@given(strategies.contents)
def test_any_content_survives_the_wire(content: Content) -> None:
    decoded: Content = msgspec.json.decode(msgspec.json.encode(content), type=Content)
    assert decoded == content


@pytest.mark.parametrize(
    "wire",
    [
        '{"type":"image","media_type":"image/png","data":"aGk="}',
        '{"type":"image","media_type":"image/png","source":"inline"}',
        '{"type":"image","media_type":"image/png","source":"inline","blob_id":"x"}',
        '{"type":"image","media_type":"image/png","source":"blob","data":"aGk="}',
        '{"type":"image","media_type":"image/png","source":"url","data":"aGk="}',
        '{"type":"video","media_type":"video/mp4","duration_ms":0,"source":"inline","data":"AA"}',
        '{"type":"video","media_type":"video/mp4","duration_ms":5,"source":"inline","data":""}',
        '{"type":"video","media_type":"video/avi","duration_ms":5,"source":"inline","data":"AA"}',
        '{"type":"video","media_type":"video/mp4","duration_ms":5,"source":"blob","data":"AA"}',
        '{"type":"sound","data":"AA"}',
    ],
)
def test_media_that_break_a_rule_are_refused(wire: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wire, type=ContentBlock)


def test_the_field_of_the_other_image_source_is_dropped_like_any_unknown_field() -> None:
    wire = '{"type":"image","media_type":"i","source":"blob","blob_id":"x","data":"y","new":1}'
    assert msgspec.json.decode(wire, type=ImageBlock) == ImageBlock(
        media_type="i", source="blob", blob_id="x"
    )
    assert ImageBlock(media_type="i", source="inline", data="x", blob_id="y").blob_id is UNSET


def test_the_text_projection_names_media_and_joins_blocks_by_lines() -> None:
    assert c.text_of("as it is\n") == "as it is\n"
    assert c.text_of((TextBlock(text="a"), IMAGE, VIDEO)) == (
        "a\n[image: image/png]\n[video: video/mp4]"
    )
    assert c.text_of(()) == ""


@pytest.mark.parametrize(
    ("content", "media", "video", "blank"),
    [
        ("", False, False, True),
        (" \n", False, False, True),
        ("x", False, False, False),
        ((), False, False, True),
        ((TextBlock(text=" "), TextBlock(text="")), False, False, True),
        ((TextBlock(text="x"),), False, False, False),
        ((IMAGE,), True, False, False),
        ((BLOB, TextBlock(text="")), True, False, False),
        ((VIDEO,), True, True, False),
    ],
)
def test_media_of_both_kinds_count_and_blank_means_neither_text_nor_media(
    content: Content, media: bool, video: bool, blank: bool
) -> None:
    assert c.has_media(content) is media
    assert c.has_video(content) is video
    assert c.is_blank(content) is blank


def test_only_one_lone_text_block_is_stored_as_a_string() -> None:
    two = (TextBlock(text="a"), TextBlock(text="b"))
    assert c.normal((TextBlock(text="a"),)) == "a"
    assert c.normal(two) is two
    assert c.normal((IMAGE,)) == (IMAGE,)
    assert c.normal("a") == "a"
    assert c.normal(()) == ()


def test_a_string_as_blocks_is_one_text_block_and_an_empty_one_is_none() -> None:
    assert c.blocks_of("a") == (TextBlock(text="a"),)
    assert c.blocks_of("") == ()
    assert c.blocks_of((IMAGE,)) == (IMAGE,)


def test_joined_texts_are_paragraphs_and_with_media_blocks_follow_each_other() -> None:
    assert c.join(["a", "", "b"]) == "a\n\nb"
    assert c.join([]) == ""
    assert c.join(["a", (IMAGE,), "b"]) == (TextBlock(text="a"), IMAGE, TextBlock(text="b"))
