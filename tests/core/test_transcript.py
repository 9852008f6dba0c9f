"""The transcript: what it counts, what it shares, and that it walks no history."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.blobs import kept_form
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    Message,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResults,
    UserMessage,
    encode_message,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.transcript import Transcript, View
from tests import strategies

USER = UserMessage(content="hi")
RESULTS = ToolResults(results=())


def says(*texts: str) -> AssistantMessage:
    return AssistantMessage(
        blocks=tuple(AssistantText(data=TextData(text=text)) for text in texts),
        stop_reason="end_turn",
    )


def of(*texts: str) -> Transcript:
    return Transcript.of(UserMessage(content=text) for text in texts)


def texts_of(transcript: Transcript) -> list[str]:
    return [text_of_message(message) for message in transcript.view()]


# -- SES-2, SES-4, SES-6 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "pending"),
    [
        (USER, True),
        (RESULTS, True),
        (SystemMessage(content="s"), False),
        (SystemNotice(kind="generic", body="n"), False),
        (says("x"), False),
        (AssistantFlat(content="x"), False),
    ],
)
def test_a_boundary_is_pending_when_the_last_message_waits_for_an_answer(
    last: Message, pending: bool
) -> None:
    assert not Transcript().has_pending_boundary
    assert Transcript().last is None
    transcript = Transcript.of([says("x"), USER, last])
    assert transcript.has_pending_boundary is pending
    transcript.fork().push(USER)
    assert transcript.last == last


def test_the_last_assistant_text_skips_messages_that_say_nothing() -> None:
    assert Transcript().last_assistant_text is None
    assert Transcript.of([says("")]).last_assistant_text is None
    transcript = Transcript.of([says(""), says("a", "b")])
    transcript.push(
        AssistantMessage(blocks=(Reasoning(data=TextData(text="r")),), stop_reason="end_turn")
    )
    transcript.push(USER)
    assert transcript.last_assistant_text == "ab"
    transcript.push(AssistantFlat(content="flat"))
    assert transcript.last_assistant_text == "flat"


@given(strategies.conversations)
def test_the_counters_are_what_a_walk_over_the_history_would_count(
    messages: list[Message],
) -> None:
    transcript = Transcript.of(messages)
    spoken = [m for m in messages if isinstance(m, (AssistantMessage, AssistantFlat))]
    assert transcript.tool_call_count == sum(len(tool_uses(m)) for m in spoken)
    assert transcript.last_assistant_text == next(
        (text for m in reversed(spoken) if (text := text_of_message(m))), None
    )
    assert len(transcript) == len(messages)
    kept = [kept_form(m)[0] for m in messages]
    assert list(transcript.view()) == kept
    assert list(transcript.encoded()) == [encode_message(m) for m in kept]


# -- stored bytes ------------------------------------------------------------------------------


@given(strategies.conversations)
def test_a_transcript_read_back_from_its_bytes_is_the_same(messages: list[Message]) -> None:
    transcript = Transcript.of(messages)
    back = Transcript.from_encoded(transcript.encoded())
    assert back == transcript
    assert list(back.view()) == list(transcript.view())
    assert (back.tool_call_count, back.last_assistant_text, back.has_pending_boundary) == (
        transcript.tool_call_count,
        transcript.last_assistant_text,
        transcript.has_pending_boundary,
    )


def test_bytes_that_were_stored_in_an_older_form_are_kept_and_hashed_as_they_are() -> None:
    raw = b'{"role":"user","content":[{"type":"text","text":"hi"}]}'
    transcript = Transcript.from_encoded([raw])
    assert list(transcript.encoded()) == [raw]
    assert list(transcript.view()) == [USER]
    assert transcript != Transcript.of([USER])


def test_a_push_returns_the_bytes_that_are_stored_and_holds_the_stored_form() -> None:
    transcript = Transcript()
    lone = UserMessage(content=(TextBlock(text="hi"),))
    assert transcript.push(lone) == b'{"role":"user","content":"hi"}'
    assert transcript.push_batch([lone, RESULTS]) == (
        b'{"role":"user","content":"hi"}',
        b'{"role":"tool_results","results":[]}',
    )
    assert transcript.view()[0] == USER
    assert transcript.push_batch([]) == ()


def test_a_batch_with_a_message_that_cannot_be_stored_is_not_pushed_at_all() -> None:
    transcript = of("a")
    bad = UserMessage(content="\ud800")
    with pytest.raises(UnicodeEncodeError):
        transcript.push_batch([USER, bad])
    assert texts_of(transcript) == ["a"]
    assert transcript.digest() == of("a").digest()


# -- views -------------------------------------------------------------------------------------


def test_a_view_is_read_only_stable_and_no_copy() -> None:
    transcript = of("a", "b")
    view = transcript.view()
    transcript.push(USER)
    transcript.set_system_prompt("s")
    assert [text_of_message(m) for m in view] == ["a", "b"]
    assert len(view) == 2
    assert not hasattr(view, "append")
    assert "2" in repr(view)


def test_a_view_is_indexed_like_any_sequence() -> None:
    view = View([1, 2, 3, 4], 3)
    assert (view[0], view[-1], view[2]) == (1, 3, 3)
    assert view[:] == (1, 2, 3)
    assert view[::-1] == (3, 2, 1)
    assert view[1:9] == (2, 3)
    assert list(reversed(view)) == [3, 2, 1]
    assert 4 not in view
    for outside in (3, -4):
        with pytest.raises(IndexError, match="view of 3"):
            view[outside]


def test_a_slice_is_clamped_to_what_is_there() -> None:
    transcript = of("a", "b", "c")
    cases: list[tuple[int, int | None, list[str]]] = [
        (0, None, ["a", "b", "c"]),
        (1, 1, ["b"]),
        (2, 9, ["c"]),
        (3, None, []),
        (9, 9, []),
        (-5, 1, ["a"]),
        (0, 0, []),
        (0, -1, []),
    ]
    for offset, limit, expected in cases:
        assert [text_of_message(m) for m in transcript.slice(offset, limit)] == expected
    shorter = transcript.fork_at(1)
    transcript.fork().push(USER)
    assert len(transcript.slice()) == 3
    assert len(shorter.slice(0, 9)) == 1


# -- rewriting ---------------------------------------------------------------------------------


def test_the_system_prompt_is_replaced_or_inserted_at_the_front() -> None:
    assert Transcript().system_prompt is None
    assert of("a").system_prompt is None
    transcript = Transcript()
    transcript.set_system_prompt("one")
    transcript.push(USER)
    transcript.set_system_prompt("two")
    assert texts_of(transcript) == ["two", "hi"]
    assert transcript.system_prompt == "two"
    without = of("a")
    without.set_system_prompt("s")
    assert texts_of(without) == ["s", "a"]
    assert without == Transcript.of([SystemMessage(content="s"), UserMessage(content="a")])


@given(strategies.conversations, strategies.conversations, st.data())
def test_a_rewrite_leaves_the_transcript_that_pushes_would_have_made(
    messages: list[Message], new: list[Message], data: st.DataObject
) -> None:
    start = data.draw(st.integers(min_value=0, max_value=len(messages)))
    stop = data.draw(st.integers(min_value=start, max_value=len(messages)))
    transcript = Transcript.of(messages)
    before = transcript.view()
    transcript.rewrite(start, stop, new)
    expected = Transcript.of([*messages[:start], *new, *messages[stop:]])
    assert transcript == expected
    assert transcript.last_assistant_text == expected.last_assistant_text
    assert transcript.tool_call_count == expected.tool_call_count
    assert list(before) == [kept_form(m)[0] for m in messages]
    transcript.replace_all(new)
    assert transcript == Transcript.of(new)


def test_a_rewrite_keeps_the_bytes_of_what_it_does_not_replace() -> None:
    old = b'{"role":"user","content":[{"type":"text","text":"hi"}]}'
    transcript = Transcript.from_encoded([old, old])
    transcript.rewrite(0, 1, [USER])
    assert list(transcript.encoded()) == [encode_message(USER), old]


@pytest.mark.parametrize(("start", "stop"), [(-1, 0), (0, 3), (2, 1), (3, 3)])
def test_a_rewrite_outside_the_transcript_is_refused(start: int, stop: int) -> None:
    transcript = of("a", "b")
    with pytest.raises(IndexError, match="transcript of 2"):
        transcript.rewrite(start, stop, [USER])
    assert texts_of(transcript) == ["a", "b"]


# -- forks (SES-5) -----------------------------------------------------------------------------


def test_a_fork_shares_its_past_until_one_side_writes() -> None:
    original = of("a", "b")
    fork = original.fork()
    assert fork == original
    assert fork.view()[0] is original.view()[0]
    fork.push(UserMessage(content="fork"))
    original.push(UserMessage(content="original"))
    assert texts_of(fork) == ["a", "b", "fork"]
    assert texts_of(original) == ["a", "b", "original"]
    assert fork == of("a", "b", "fork")
    assert original == of("a", "b", "original")


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (2, 2), (3, 2), (99, 2), (-1, 0)])
def test_a_fork_at_a_count_has_the_first_messages(count: int, kept: int) -> None:
    original = of("a", "b")
    fork = original.fork_at(count)
    assert fork == of(*"ab"[:kept])
    fork.push(USER)
    assert texts_of(original) == ["a", "b"]


def test_a_restored_transcript_goes_on_from_the_earlier_one() -> None:
    transcript = of("a")
    earlier = transcript.fork()
    transcript.push(UserMessage(content="lost"))
    lost = transcript.view()
    transcript.restore(earlier)
    assert transcript == earlier
    transcript.push(UserMessage(content="b"))
    assert texts_of(transcript) == ["a", "b"]
    assert texts_of(earlier) == ["a"]
    assert [text_of_message(m) for m in lost] == ["a", "lost"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=24))
def test_any_number_of_forks_never_see_each_other(steps: list[tuple[int, int]]) -> None:
    transcripts, models = [Transcript()], [list[str]()]
    for number, (which, what) in enumerate(steps):
        place = which % len(transcripts)
        one, model, text = transcripts[place], models[place], str(number)
        match what:
            case 0:
                one.push(UserMessage(content=text))
                model.append(text)
            case 1:
                transcripts.append(one.fork())
                models.append(model[:])
            case 2:
                transcripts.append(one.fork_at(1))
                models.append(model[:1])
            case 3:
                model[: 0 if one.system_prompt is None else 1] = [text]
                one.set_system_prompt(text)
            case 4:
                one.restore(transcripts[0])
                model[:] = models[0]
            case _:
                one.replace_all([])
                model.clear()
        assert [texts_of(t) for t in transcripts] == models
        for other, said in zip(transcripts, models, strict=True):
            if one.continues(other):
                assert model[: len(said)] == said


def test_a_transcript_knows_what_it_continues_without_looking() -> None:
    transcript = of("a")
    earlier = transcript.fork()
    assert transcript.continues(earlier)
    transcript.push(USER)
    assert transcript.continues(earlier)
    assert not earlier.continues(transcript)
    assert not transcript.continues(of("a"))
    earlier.push(USER)
    assert not earlier.continues(transcript)
    transcript.set_system_prompt("s")
    assert not transcript.continues(earlier)


def test_what_is_no_message_is_not_pushed() -> None:
    transcript = of("a")
    with pytest.raises(ValueError, match="not a message"):
        transcript.push_encoded(b"{}")
    transcript.push_encoded(encode_message(USER))
    assert texts_of(transcript) == ["a", "hi"]


def test_transcripts_are_equal_when_they_store_the_same_and_are_never_keys() -> None:
    assert of("a") == of("a")
    assert of("a") != of("b")
    assert of("a") != of("a", "a")
    assert of("a") != ["a"]
    assert "1 messages" in repr(of("a"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(of("a"))


class Counted(list[Message]):
    """A list that counts how often it is walked."""

    walks = 0

    def __iter__(self) -> Iterator[Message]:
        self.walks += 1
        return super().__iter__()


def test_a_restore_brings_every_counter_back() -> None:
    transcript = Transcript.of([says("one")])
    earlier = transcript.fork()
    image = ImageBlock(media_type="image/png", source="inline", data="aGk=")
    transcript.push_batch([UserMessage(content=(image,)), says("two")])
    transcript.restore(earlier)
    assert (transcript.last_assistant_text, len(transcript.blob_ids)) == ("one", 0)
    assert transcript.digest() == Transcript.of([says("one")]).digest()


def test_a_push_and_every_counter_walk_no_history() -> None:
    transcript = of(*("x" for _ in range(50)))
    counted = Counted(transcript._messages)
    transcript._messages = counted
    transcript.push(says("done"))
    assert transcript.last_assistant_text == "done"
    assert (transcript.tool_call_count, transcript.has_pending_boundary) == (0, False)
    assert len(transcript.view()) == len(transcript.encoded()) == len(transcript) == 51
    transcript.digest()
    transcript.fork().push(USER)
    assert counted.walks == 0
    assert transcript._messages is counted
