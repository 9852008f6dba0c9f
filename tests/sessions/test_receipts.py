"""A receipt held against the records before it: what agrees, and the first thing that does not."""

from __future__ import annotations

import msgspec
import pytest

from meerkat_mob.core.inputs import Receipt
from meerkat_mob.core.messages import SystemMessage, UserMessage, encode_message
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.sessions import facts
from meerkat_mob.sessions.facts import Applied, Rewritten, RunEnded
from meerkat_mob.sessions.receipts import ReceiptFold, verify_receipts
from meerkat_mob.store import NewRecord, Record

HELLO, AGAIN = UserMessage(content="hello"), UserMessage(content="again")
PROMPT = SystemMessage(content="Be brief.")


def said(*messages: UserMessage) -> NewRecord:
    body = b"[" + b",".join(encode_message(message) for message in messages) + b"]"
    return NewRecord(kind=facts.SAID, body=body)


def fact(kind: str, body: msgspec.Struct) -> NewRecord:
    return NewRecord(kind=kind, body=msgspec.json.encode(body))


def ended(receipt: Receipt) -> NewRecord:
    return fact(facts.RUN_ENDED, RunEnded(outcome="completed", usage=Usage(), receipt=receipt))


def stream(*records: NewRecord) -> tuple[Record, ...]:
    return tuple(
        Record(
            stream="session:s",
            seq=seq,
            kind=one.kind,
            v=one.v,
            body=one.body,
            at=seq * 10,
            chain=b"",
        )
        for seq, one in enumerate(records, start=1)
    )


def a_receipt(
    *messages: UserMessage | SystemMessage,
    run_id: str = "run-1",
    inputs: tuple[str, ...] = (),
    sequence: int = 0,
) -> Receipt:
    return Receipt(
        run_id=run_id,
        boundary="run_start",
        contributing_input_ids=inputs,
        conversation_digest=Transcript.of(messages).digest(),
        message_count=len(messages),
        sequence=sequence,
    )


def differences(*records: NewRecord) -> list[str | None]:
    return [check.difference for check in verify_receipts(stream(*records))]


def test_a_session_without_receipts_has_nothing_to_check() -> None:
    assert list(verify_receipts(stream(said(HELLO)))) == []


def test_each_receipt_is_checked_with_what_was_stored_when_it_was_given() -> None:
    first = a_receipt(HELLO)
    second = a_receipt(HELLO, AGAIN, run_id="run-2")
    records = stream(said(HELLO), ended(first), said(AGAIN), ended(second))
    checks = list(verify_receipts(records))
    assert [(c.receipt, c.seq, c.at, c.agrees) for c in checks] == [
        (first, 2, 20, True),
        (second, 4, 40, True),
    ]
    assert [(c.message_count, c.conversation_digest) for c in checks] == [
        (1, first.conversation_digest),
        (2, second.conversation_digest),
    ]


def test_a_receipt_from_before_a_rewrite_stays_verifiable() -> None:
    put = msgspec.Raw(encode_message(PROMPT))
    rewritten = fact(facts.REWRITTEN, Rewritten(start=0, stop=1, messages=(put,)))
    before, after = a_receipt(HELLO, AGAIN), a_receipt(PROMPT, AGAIN, run_id="run-2")
    assert differences(said(HELLO, AGAIN), ended(before), rewritten, ended(after)) == [None, None]


def test_the_count_is_named_before_the_digest() -> None:
    [told] = differences(said(HELLO), ended(a_receipt(HELLO, AGAIN)))
    assert told == "message_count: the receipt says 2, stored are 1"


def test_other_messages_than_those_of_the_receipt_are_named_with_both_digests() -> None:
    receipt = a_receipt(AGAIN)
    [told] = differences(said(HELLO), ended(receipt))
    assert told == (
        f"conversation_digest: the receipt says {receipt.conversation_digest}, "
        f"the 1 stored messages have {a_receipt(HELLO).conversation_digest}"
    )


def test_the_receipts_of_a_run_are_numbered_from_0_without_a_gap() -> None:
    steered = fact(facts.APPLIED, Applied(receipt=a_receipt(HELLO)))
    skipped = ended(a_receipt(HELLO, sequence=2))
    assert differences(said(HELLO), steered, skipped) == [
        None,
        "sequence: the receipt says 2, the run's next is 1",
    ]
    assert differences(said(HELLO), steered, ended(a_receipt(HELLO, sequence=1))) == [None, None]


def test_an_input_that_two_receipts_name_was_consumed_twice() -> None:
    one = ended(a_receipt(inputs=("in-1",)))
    two = ended(a_receipt(run_id="run-2", inputs=("in-2", "in-1")))
    assert differences(one, two) == [
        None,
        "contributing_input_ids: in-1 was consumed before, by a receipt of run run-1",
    ]


def test_records_may_come_in_pages() -> None:
    first, second = stream(said(HELLO), ended(a_receipt(HELLO)))
    fold = ReceiptFold()
    assert list(fold.add((first,))) == []
    assert [check.agrees for check in fold.add((second,))] == [True]


@pytest.mark.parametrize(
    "broken",
    [
        NewRecord(kind=facts.SAID, body=b"{}"),
        NewRecord(kind=facts.APPLIED, body=b"[]"),
        NewRecord(kind=facts.RUN_ENDED, body=b""),
        NewRecord(kind=facts.SAID, body=b"[]", v=2),
        fact(facts.REWRITTEN, Rewritten(start=0, stop=5, messages=())),
    ],
    ids=["no array", "no receipt", "nothing", "a later format", "a range that is not there"],
)
def test_what_is_no_fact_is_corrupt_and_what_came_before_is_checked(broken: NewRecord) -> None:
    checks = verify_receipts(stream(said(HELLO), ended(a_receipt(HELLO)), broken))
    assert next(checks).agrees
    with pytest.raises(StoreCorrupt) as caught:
        next(checks)
    assert (caught.value.stream, caught.value.seq) == ("session:s", 3)
