"""How the terminal's lines are divided, and what is safe to write to it."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from meerkat_mob.surfaces.cli.board import Floor, plan
from meerkat_mob.surfaces.cli.palette import ASCII, Palette, Signs, hanging
from meerkat_mob.surfaces.cli.story import Card, Seat, Story
from meerkat_mob.surfaces.cli.words import clean, counted

sizes = st.integers(min_value=0, max_value=40)


def drawn(height: int, width: int, *, seats: int, cards: int) -> list[str]:
    """The lines of the live part for so many members and tasks."""
    story = Story()
    for n in range(seats):
        seat = Seat(f"member-{n}", "role")
        seat.turn_to("speaking", 0)
        seat.said.append("a word and another one " * n)
        story.seats[seat.member] = seat
    for n in range(cards):
        story.board[str(n)] = Card(number=n + 1, subject="something to be done " * 5, owner="sre")
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    console.print(Floor(story, Palette(Signs()), console).draw(10_000, 0))
    return out.getvalue().rstrip("\n").split("\n")


@given(height=st.integers(min_value=8, max_value=80), seats=sizes, cards=sizes)
def test_the_live_part_never_fills_the_terminal(height: int, seats: int, cards: int) -> None:
    lines = drawn(height, 80, seats=seats, cards=cards)
    assert len(lines) <= max(height * 11 // 20, 5) < height
    assert [line for line in lines if len(line) > 80] == []


@given(height=st.integers(min_value=8, max_value=80), seats=sizes, before=sizes, after=sizes)
def test_members_keep_their_lines_whatever_the_board_does(
    height: int, seats: int, before: int, after: int
) -> None:
    one, other = (plan(height=height, seats=seats, cards=cards) for cards in (before, after))
    assert (one.seats, one.tail) == (other.seats, other.tail)


def test_five_members_and_five_tasks_have_room_in_an_ordinary_terminal() -> None:
    assert plan(height=24, seats=5, cards=5).tail == 2
    assert plan(height=40, seats=5, cards=5).listed


def test_members_without_a_place_are_counted() -> None:
    assert any("more not shown" in line for line in drawn(10, 80, seats=12, cards=0))


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert clean("a\x1b[31mred\x07\x9b2J\u202eb\r\n\tc\rd") == "a[31mred2Jb\n    cd"


def test_a_hanging_text_is_moved_in_but_for_its_first_line() -> None:
    console = Console(file=io.StringIO(), width=14)
    assert hanging(Text("one two three four\n\nfive"), console).plain == (
        "one two\n  three four\n\n  five"
    )


def test_signs_have_plain_letters_for_terminals_without_others() -> None:
    assert all(value.isascii() for value in (getattr(ASCII, n) for n in ASCII.__struct_fields__))


def test_numbers_agree_with_their_nouns() -> None:
    assert (counted(1, "turn"), counted(1200, "turn")) == ("1 turn", "1,200 turns")
