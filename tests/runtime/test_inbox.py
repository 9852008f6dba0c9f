"""The queue: what is taken next, how an input ends, and how much is remembered."""

import pytest

from meerkat_mob.core.events import RunResult
from meerkat_mob.core.inputs import Input
from meerkat_mob.errors import InboxFull
from meerkat_mob.runtime import Abandoned, Completed, InputPhase, InputRecord, decide
from meerkat_mob.runtime.inbox import BOUND, KEPT, LEGAL, Inbox
from meerkat_mob.testing.builders import a_clock, a_notice, a_peer_message, a_prompt

DONE = Completed(result=RunResult(text="done", session_id="s"))
GONE = Abandoned(reason="retired")
NEWS = {"mob.peer_added"}


def an_inbox(*items: Input) -> tuple[Inbox, list[InputRecord]]:
    ended: list[InputRecord] = []

    def changed(record: InputRecord) -> None:
        if record.outcome is not None:
            ended.append(record)

    inbox = Inbox("s", changed, clock=a_clock())
    for item in items:
        admit(inbox, item)
    return inbox, ended


def admit(inbox: Inbox, item: Input) -> None:
    place = inbox.make_room()
    inbox.give_up_room()
    inbox.admit(item, decide(item, silent_intents=NEWS, keep_alive=True), place)


def batches(inbox: Inbox) -> list[tuple[str, ...]]:
    """The ids of each batch until nothing asks for a run."""
    found: list[tuple[str, ...]] = []
    while inbox.runnable:
        found.append(inbox.take(f"run-{len(found)}").ids)
    return found


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        pytest.param(
            [a_prompt("", "p1"), a_prompt("", "p2")], [("p1",), ("p2",)], id="a prompt is alone"
        ),
        pytest.param(
            [a_peer_message("", "m1"), a_peer_message("", "m2")],
            [("m1", "m2")],
            id="peer messages go together",
        ),
        pytest.param(
            [a_peer_message("", "m1"), a_prompt("", "p"), a_peer_message("", "m2")],
            [("m1",), ("p",), ("m2",)],
            id="nothing overtakes in a lane",
        ),
        pytest.param(
            [a_prompt("", "p"), a_peer_message("", "s", mode="steer")],
            [("s",), ("p",)],
            id="steer goes first",
        ),
        pytest.param(
            [
                a_prompt("", "p1", mode="steer"),
                a_peer_message("", "m", mode="steer"),
                a_prompt("", "p2", mode="steer"),
            ],
            [("p1", "m", "p2")],
            id="all of it at once, in its own order",
        ),
        pytest.param(
            [a_notice("", "n1"), a_notice("", "n2"), a_prompt("", "p")],
            [("n1", "n2", "p")],
            id="news precedes the next run",
        ),
        pytest.param(
            [a_prompt("", "p1"), a_notice("", "n"), a_prompt("", "p2")],
            [("p1",), ("n", "p2")],
            id="and none that was asked for before",
        ),
        pytest.param(
            [a_notice("", "n"), a_prompt("", "p", mode="steer")],
            [("n", "p")],
            id="also one of the steer lane",
        ),
        pytest.param(
            [a_peer_message("", "m1"), a_notice("", "n"), a_peer_message("", "m2")],
            [("m1", "n", "m2")],
            id="among messages it keeps its place",
        ),
        pytest.param([a_notice("", "n")], [], id="and alone it asks for nothing"),
    ],
)
def test_what_is_taken_together_and_in_which_order(
    items: list[Input], wanted: list[tuple[str, ...]]
) -> None:
    inbox, _ = an_inbox(*items)
    assert batches(inbox) == wanted


def test_a_batch_has_the_boundary_of_what_asked_for_it() -> None:
    inbox, _ = an_inbox(a_notice("", "n"), a_prompt("", "p", mode="steer"), a_prompt("", "q"))
    assert [inbox.take("r1").boundary, inbox.take("r2").boundary] == ["run_checkpoint", "run_start"]


def test_a_taken_input_knows_its_run_and_an_ended_one_its_outcome() -> None:
    inbox, ended = an_inbox(a_prompt("", "p"))
    inbox.take("run-1")
    staged = inbox.state("p")
    assert staged is not None
    assert (staged.phase, staged.run_id) == (InputPhase.STAGED, "run-1")
    inbox.end("p", DONE)
    record = inbox.state("p")
    assert record is not None
    assert (record.phase, record.run_id, record.outcome) == (InputPhase.CONSUMED, "run-1", DONE)
    assert ended == [record]
    assert inbox.active() == ()


def test_a_queued_input_can_end_before_it_was_taken() -> None:
    inbox, _ = an_inbox(a_prompt("", "p1"), a_prompt("", "p2"))
    inbox.end("p1", GONE)
    assert batches(inbox) == [("p2",)]
    inbox.end("p2", DONE)
    assert not inbox.runnable


def test_what_was_never_taken_cannot_have_been_applied() -> None:
    inbox, ended = an_inbox(a_prompt("", "p"))
    with pytest.raises(AssertionError, match="cannot go from queued to consumed"):
        inbox.end("p", DONE)
    assert (ended, batches(inbox)) == ([], [("p",)])


def test_an_input_ends_once() -> None:
    """INV-2."""
    inbox, ended = an_inbox(a_prompt("", "p"))
    inbox.take("run-1")
    inbox.end("p", DONE)
    with pytest.raises(AssertionError, match="cannot go from consumed"):
        inbox.end("p", Abandoned(reason="cancelled"))
    assert len(ended) == 1


def test_an_input_is_known_by_its_key_and_by_its_id_also_after_its_end() -> None:
    inbox, _ = an_inbox(a_prompt("", "p1", key="k"))
    assert inbox.known(a_prompt("", "p2", key="k")) == "p1"
    assert inbox.known(a_prompt("", "p1", key="other")) == "p1"
    assert inbox.known(a_prompt("", "p2", key="other")) is None
    assert inbox.known(a_prompt("", "p2")) is None
    inbox.end("p1", GONE)
    assert inbox.known(a_prompt("", "p3", key="k")) == "p1"


def test_the_bound_counts_what_has_not_ended_and_a_refusal_changes_nothing() -> None:
    inbox, _ = an_inbox(*(a_prompt("", f"p{n}") for n in range(BOUND)))
    with pytest.raises(InboxFull, match=f"holds its {BOUND} inputs"):
        admit(inbox, a_prompt("", "more", key="k"))
    assert inbox.state("more") is None
    assert inbox.known(a_prompt("", "again", key="k")) is None
    inbox.take("run-1")
    with pytest.raises(InboxFull):
        admit(inbox, a_prompt("", "more"))
    inbox.end("p0", DONE)
    admit(inbox, a_prompt("", "more"))
    assert len(inbox.active()) == BOUND


def test_records_of_ended_inputs_go_and_their_keys_stay_for_longer() -> None:
    inbox, _ = an_inbox()
    for n in range(KEPT + 2):
        admit(inbox, a_prompt("", f"p{n}", key=f"k{n}"))
        inbox.end(f"p{n}", GONE)
    assert [inbox.state(f"p{n}") is None for n in range(3)] == [True, True, False]
    assert inbox.known(a_prompt("", "again", key="k0")) == "p0"


def test_even_keys_go_in_the_end() -> None:
    inbox = Inbox("s", lambda _: None, clock=a_clock(), keys_kept=2)
    for n in range(3):
        admit(inbox, a_prompt("", f"p{n}", key=f"k{n}"))
        inbox.end(f"p{n}", GONE)
    assert [inbox.known(a_prompt("", "x", key=f"k{n}")) for n in range(3)] == [None, "p1", "p2"]


def test_every_phase_has_a_row_and_the_last_ones_lead_nowhere() -> None:
    assert set(LEGAL) == set(InputPhase)
    assert [p for p in InputPhase if not LEGAL[p]] == [InputPhase.CONSUMED, InputPhase.ABANDONED]
