"""Images outside messages: what moves, what stays, and that nothing is lost (spec sessions 1.9)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.blobs import (
    Blob,
    blob_id,
    blob_ids,
    contents_of,
    kept_form,
    with_inline_images,
    without_inline_images,
)
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock, text_of
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Message,
    RenderMetadata,
    TextData,
    ToolResult,
    ToolResults,
    UserMessage,
    encode_message,
    stored_form,
)
from meerkat_mob.core.transcript import Transcript
from tests import strategies

TEXT = TextBlock(text="see")
INLINE = ImageBlock(media_type="image/png", source="inline", data="aGk=")
OTHER = ImageBlock(media_type="image/jpeg", source="inline", data="aGk=")
NAME = "sha256:585fb4d7aea52ee17c8b9c318351d7ce58f9c96570d7eb9d1381bd6702b490d9"
OTHER_NAME = blob_id("image/jpeg", "aGk=")
NAMED = ImageBlock(media_type="image/png", source="blob", blob_id=NAME)
BLOB = Blob(media_type="image/png", data="aGk=")
VIDEO = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="AA")
SHOWN = RenderMetadata(render_class="user_prompt")


def user(*blocks: TextBlock | ImageBlock | VideoBlock) -> UserMessage:
    return UserMessage(content=blocks, render_metadata=SHOWN)


def result(*blocks: TextBlock | ImageBlock) -> ToolResults:
    text = ToolResult(tool_use_id="a", content="text")
    return ToolResults(results=(text, ToolResult(tool_use_id="b", content=blocks, is_error=True)))


# -- names (BLB-1) -----------------------------------------------------------------------------


def test_a_blob_is_named_by_its_media_type_a_nul_byte_and_its_base64_text() -> None:
    assert blob_id("image/png", "aGk=") == BLOB.id == NAME
    assert "sha256:" + hashlib.sha256(b"image/png\0aGk=").hexdigest() == NAME
    assert blob_id("image/jpeg", "aGk=") != NAME


# -- content (BLB-3, BLB-4) --------------------------------------------------------------------


def test_inline_images_become_names_and_everything_else_stays() -> None:
    content = (TEXT, INLINE, VIDEO, NAMED, INLINE)
    named, moved = without_inline_images(content)
    assert named == (TEXT, NAMED, VIDEO, NAMED, NAMED)
    assert moved == {NAME: BLOB}
    assert blob_ids(named) == (NAME, NAME, NAME)


@pytest.mark.parametrize("content", ["", "text", (), (TEXT, VIDEO), (NAMED, TEXT)])
def test_a_content_without_inline_images_is_left_alone(content: Content) -> None:
    named, moved = without_inline_images(content)
    assert named is content
    assert not moved


@given(strategies.contents)
def test_what_was_moved_out_can_be_put_back(content: Content) -> None:
    named, moved = without_inline_images(content)
    assert without_inline_images(named) == (named, {})
    back = with_inline_images(named, moved)
    gone = {name for name in blob_ids(content) if name not in moved}
    if not gone:
        assert back == content
    assert blob_ids(back) == ()


def test_an_image_that_is_gone_is_told_as_text() -> None:
    assert with_inline_images((TEXT, NAMED), {NAME: BLOB}) == (TEXT, INLINE)
    told = with_inline_images((NAMED, INLINE), {})
    assert text_of(told) == f"[image unavailable: {NAME}]\n[image: image/png]"


# -- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (user(TEXT, INLINE), user(TEXT, NAMED)),
        (result(INLINE, TEXT), result(NAMED, TEXT)),
        (user(TEXT), UserMessage(content="see", render_metadata=SHOWN)),
        (user(VIDEO), user(VIDEO)),
    ],
)
def test_the_kept_form_of_a_message_names_its_images(message: Message, kept: Message) -> None:
    found, moved = kept_form(message)
    assert found == kept
    assert set(moved) <= {NAME}
    assert kept_form(kept) == (kept, {})


@given(strategies.messages)
def test_a_message_without_inline_images_is_kept_as_it_is_stored(message: Message) -> None:
    kept, moved = kept_form(message)
    if not moved:
        assert kept == stored_form(message)
    assert not any(without_inline_images(content)[1] for content in contents_of(kept))


def test_a_text_costs_nothing() -> None:
    messages: list[Message] = [
        UserMessage(content="hi"),
        ToolResults(results=(ToolResult(tool_use_id="a", content="text"),)),
        AssistantMessage(blocks=(AssistantText(data=TextData(text="t")),), stop_reason="end_turn"),
    ]
    for message in messages:
        assert kept_form(message)[0] is message
        assert contents_of(message) == ()


# -- transcripts -------------------------------------------------------------------------------


@given(strategies.conversations)
def test_the_digest_of_inline_images_is_that_of_their_names(messages: list[Message]) -> None:
    inline, named = Transcript.of(messages), Transcript()
    for message in messages:
        named.push(kept_form(message)[0])
    assert inline.digest() == named.digest()
    assert list(inline.encoded()) == list(named.encoded())
    assert list(inline.blob_ids) == list(named.blob_ids)


@given(strategies.conversations)
def test_a_transcript_knows_the_images_it_names_and_holds_those_it_was_given(
    messages: list[Message],
) -> None:
    transcript = Transcript.of(messages)
    names = [name for m in transcript.view() for c in contents_of(m) for name in blob_ids(c)]
    assert list(transcript.blob_ids) == names
    assert all(blob.id == name for name, blob in transcript.blobs.items())
    assert transcript.blobs.keys() <= set(names)
    back = Transcript.from_encoded(transcript.encoded())
    assert (list(back.blob_ids), dict(back.blobs)) == (names, {})


def test_a_push_returns_bytes_with_the_name_in_the_place_of_the_image() -> None:
    transcript = Transcript()
    raw = transcript.push(UserMessage(content=(INLINE,)))
    assert raw == encode_message(UserMessage(content=(NAMED,)))
    assert b"aGk=" not in raw
    assert transcript.push(result(INLINE)) == encode_message(result(NAMED))
    assert list(transcript.blob_ids) == [NAME, NAME]
    assert transcript.blobs == {NAME: BLOB}


def test_images_of_a_content_that_waits_are_held_and_not_yet_named() -> None:
    transcript = Transcript()
    assert transcript.keep_images((TEXT, INLINE)) == (TEXT, NAMED)
    assert transcript.keep_images("text") == "text"
    assert (transcript.blobs, list(transcript.blob_ids)) == ({NAME: BLOB}, [])


def test_a_batch_that_cannot_be_stored_leaves_no_image_behind() -> None:
    transcript = Transcript()
    with pytest.raises(UnicodeEncodeError):
        transcript.push_batch([user(INLINE), UserMessage(content="\ud800")])
    assert (dict(transcript.blobs), list(transcript.blob_ids)) == ({}, [])


def test_a_fork_shares_the_images_and_names_its_own() -> None:
    transcript = Transcript.of([user(INLINE)])
    fork = transcript.fork()
    fork.push(user(OTHER))
    transcript.push(UserMessage(content="no image"))
    assert list(transcript.blob_ids) == [NAME]
    assert len(fork.blob_ids) == 2
    assert transcript.blobs == fork.blobs
    transcript.push(user(NAMED))
    assert list(transcript.blob_ids) == [NAME, NAME]
    assert list(transcript.fork_at(1).blob_ids) == [NAME]
    assert transcript.fork_at(0).blobs == fork.blobs
    fork.forget_blobs([NAME, "unknown"])
    assert list(transcript.blobs) == [OTHER_NAME]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=16))
def test_no_fork_ever_names_the_images_of_another(steps: list[tuple[int, bool]]) -> None:
    transcripts, models = [Transcript()], [list[str]()]
    for number, (which, forks) in enumerate(steps):
        place = which % len(transcripts)
        if forks:
            transcripts.append(transcripts[place].fork())
            models.append(models[place][:])
        else:
            image = ImageBlock(media_type="image/png", source="blob", blob_id=str(number))
            transcripts[place].push(user(image))
            models[place].append(str(number))
        assert [list(t.blob_ids) for t in transcripts] == models


def test_a_rewrite_names_what_is_left_and_keeps_the_images() -> None:
    transcript = Transcript.of([user(INLINE), user(OTHER)])
    before = transcript.fork()
    transcript.rewrite(0, 1, [UserMessage(content="summary")])
    assert list(transcript.blob_ids) == [OTHER_NAME]
    assert list(before.blob_ids) == [NAME, OTHER_NAME]
    assert set(transcript.blobs) == {NAME, OTHER_NAME}
    transcript.set_system_prompt("s")
    assert list(transcript.blob_ids) == [OTHER_NAME]
