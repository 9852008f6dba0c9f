"""Server-sent events: any cut of the same bytes gives the same events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.llm import sse
from meerkat_mob.llm.sse import SseDecoder, SseEvent


def decoded(*chunks: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.finish()]


def data(*chunks: bytes) -> list[str]:
    return [event.data for event in decoded(*chunks)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_ending_ends_a_line(end: bytes) -> None:
    assert data(b"data: a" + end + b"data: b" + end * 2 + b"data: c" + end * 2) == ["a\nb", "c"]


def test_comments_and_unknown_fields_are_passed_over() -> None:
    assert data(b": keep-alive\n\nretry: 5\nid: 7\nnonsense\ndata: x\n\n: bye\n\n") == ["x"]


def test_one_space_after_the_colon_belongs_to_nobody() -> None:
    assert data(b"data:a\n\ndata:  b\n\ndata\n\n") == ["a", " b", ""]


def test_an_event_has_its_name_only_once() -> None:
    assert decoded(b"event: error\ndata: x\n\ndata: y\n\n") == [
        SseEvent(event="error", data="x"),
        SseEvent(event="message", data="y"),
    ]


def test_an_event_without_data_is_none() -> None:
    assert decoded(b"event: ping\n\n") == []


def test_the_last_event_needs_no_blank_line() -> None:
    assert data(b"data: a\n\ndata: [DONE]") == ["a", "[DONE]"]


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    assert data(b"\xef\xbb", b"\xbfdata: a\n\n") == ["a"]


def test_separators_of_other_standards_stay_in_the_text() -> None:
    assert data("data: a\u2028b\x0bc\x85d\n\n".encode()) == ["a\u2028b\x0bc\x85d"]


def test_broken_utf_8_spoils_only_its_own_character() -> None:
    assert data(b"data: a\xffb\n\n") == ["a\ufffdb"]


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    decoder = SseDecoder()
    decoder.feed(b"data: " + b"x" * (sse.LONGEST_EVENT - 10))
    with pytest.raises(ValueError, match="an event of more than"):
        decoder.feed(b"x" * 10)


def test_many_events_in_a_row_are_no_long_event() -> None:
    decoder = SseDecoder()
    chunk = b"data: " + b"x" * (sse.LONGEST_EVENT // 4) + b"\n\n"
    assert sum(len(decoder.feed(chunk)) for _ in range(6)) == 6


LINES = st.one_of(
    st.sampled_from(["", "", "data: x", "data:y", "event: e", ": c", "id: 1", 'data: {"é": 1}']),
    st.text(alphabet="dat: é漢\u2028😀", max_size=8),
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"]))).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200)))
def test_any_cut_of_the_same_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert decoded(*pieces) == decoded(stream)


@given(stream=STREAMS)
def test_byte_by_byte_is_a_cut_too(stream: bytes) -> None:
    assert decoded(*(bytes([byte]) for byte in stream)) == decoded(stream)


@given(texts=st.lists(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))))
def test_what_was_written_as_events_is_read_again(texts: list[str]) -> None:
    stream = "".join(
        "".join(f"data: {line}\n" for line in text.split("\n")) + "\n" for text in texts
    )
    assert data(stream.encode()) == texts
