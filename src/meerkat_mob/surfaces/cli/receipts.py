"""``meerkat-mob receipts``: what runs proved to have applied, held against what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob.core.inputs import Receipt
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.runtime.outside import KeptReceipts, asked_for, read_receipts
from meerkat_mob.sessions.receipts import ReceiptCheck
from meerkat_mob.surfaces.cli.columns import GAP, in_columns
from meerkat_mob.surfaces.cli.exit_codes import FAILED, OK, exit_code
from meerkat_mob.surfaces.cli.findings import show_failure
from meerkat_mob.surfaces.cli.jsonlines import Failure, damage_of, write_json
from meerkat_mob.surfaces.cli.options import InboxOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, laid
from meerkat_mob.surfaces.cli.sessions_list import ONE_LINE_FROM, told_damage
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import counted, flat

SHORT_DIGEST = 12
"""Letters of a digest that are shown to people."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt, and the first thing in which what is stored differs from it; ``at`` in ms UTC."""

    session_id: str
    receipt: Receipt
    at: int
    agrees: bool
    difference: str | None


class SessionReceipts(msgspec.Struct, frozen=True, kw_only=True):
    """How many receipts a session has. Where it is ``damage``d, those before the damage."""

    session_id: str
    receipts: int
    agree: int
    damage: Failure | None


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints. ``ok``: every receipt agrees, and all of them could be read.

    ``first_difference`` is the first receipt that does not agree, or null; ``damage`` what is wrong
    with the realm as a whole, or null.
    """

    ok: bool
    receipts: tuple[Checked, ...]
    sessions: tuple[SessionReceipts, ...]
    first_difference: Checked | None
    damage: str | None


class _Sum:
    """What all sessions together come to; of the receipts only the first wrong one is kept."""

    def __init__(self) -> None:
        self.receipts = self.wrong = self.sessions = 0
        self.first: Checked | None = None
        self.damages: list[StoreCorrupt] = []
        self.realm_damage: str | None = None

    def add(self, kept: KeptReceipts) -> None:
        wrong = [check for check in kept.checks if not check.agrees]
        self.receipts += len(kept.checks)
        self.sessions += bool(kept.checks)
        self.wrong += len(wrong)
        if wrong and self.first is None:
            self.first = _told(kept.session_id, wrong[0])
        if kept.damage is not None:
            self.damages.append(kept.damage)

    @property
    def exit_code(self) -> int:
        """That a receipt is wrong says more than that some could not be read."""
        if self.wrong:
            return FAILED
        return exit_code(self.damages[0]) if self.damages else OK


def show_receipts(options: InboxOptions, streams: Streams) -> int:
    """Verifies the receipts of a session, or of all. Returns 1 when one does not agree."""
    total = asyncio.run(_json(options, streams) if options.json else _text(options, streams))
    for damage in total.damages:
        show_failure(streams.err, damage)
    return total.exit_code


async def _kept(options: InboxOptions, total: _Sum) -> AsyncGenerator[KeptReceipts, None]:
    """One session after the other, so that no more than one is held."""
    async with realm_from_outside(options.realm) as realm:
        total.realm_damage = realm.damage or None
        for name in await asked_for(realm.reader, options.session):
            kept = await read_receipts(realm.reader, name)
            total.add(kept)
            yield kept


def _told(session_id: str, check: ReceiptCheck) -> Checked:
    return Checked(
        session_id=session_id,
        receipt=check.receipt,
        at=check.at,
        agrees=check.agrees,
        difference=check.difference,
    )


async def _json(options: InboxOptions, streams: Streams) -> _Sum:
    total, receipts, sessions = _Sum(), list[Checked](), list[SessionReceipts]()
    async with aclosing(_kept(options, total)) as found:
        async for kept in found:
            receipts += (_told(kept.session_id, check) for check in kept.checks)
            one = SessionReceipts(
                session_id=kept.session_id,
                receipts=len(kept.checks),
                agree=sum(check.agrees for check in kept.checks),
                damage=damage_of(kept.damage),
            )
            sessions.append(one)
    told = Receipts(
        ok=not total.wrong and not total.damages,
        receipts=tuple(receipts),
        sessions=tuple(sessions),
        first_difference=total.first,
        damage=total.realm_damage,
    )
    write_json(streams.out.file, msgspec.json.encode(told))
    return total


# -- for people --------------------------------------------------------------------------------


async def _text(options: InboxOptions, streams: Streams) -> _Sum:
    total = _Sum()
    async with aclosing(_kept(options, total)) as found:
        async for kept in found:
            if total.sessions > 1 and kept.checks:
                streams.out.print()
            for line in rows(kept, streams.out):
                streams.out.print(line, soft_wrap=True)
    if total.realm_damage is not None:
        streams.err.print(told_damage(total.realm_damage), soft_wrap=True)
    for line in _remarks(total):
        streams.err.print(line, soft_wrap=True)
    return total


def _remarks(total: _Sum) -> Iterator[Text]:
    if total.first is not None:
        place = f"{flat(total.first.session_id)}, run {flat(total.first.receipt.run_id)}"
        where = f"session {place}, no. {total.first.receipt.sequence}"
        told = f"the first that does not agree: {where}: {flat(total.first.difference or '')}"
        yield Text(told, BAD)
    if not total.receipts:
        yield Text("no receipt was given so far", QUIET)
        return
    count = f"{counted(total.receipts, 'receipt')} in {counted(total.sessions, 'session')}"
    agree = total.receipts - total.wrong
    yield Text(f"{count}: {agree:,} agree" + (f", {total.wrong:,} differ" if total.wrong else ""))


def rows(kept: KeptReceipts, out: Console) -> Iterator[Text]:
    """The session, a heading, then a line for each receipt; in a narrow terminal its end below."""
    if not kept.checks:
        return
    in_one_line = not out.is_terminal or out.width >= ONE_LINE_FROM
    yield Text.assemble(("session ", QUIET), (flat(kept.session_id), "bold"))
    head, *lines = in_columns(_table([check.receipt for check in kept.checks]), right={1, 3, 4})
    yield Text(f"{head}{GAP}digest" if in_one_line else head, QUIET)
    for check, line in zip(kept.checks, lines, strict=True):
        end = Text.assemble(
            (check.receipt.conversation_digest[:SHORT_DIGEST], QUIET),
            GAP,
            ("agrees", GOOD) if check.agrees else (f"DIFFERS {flat(check.difference or '')}", BAD),
        )
        if (in_one_line and check.agrees) or not out.is_terminal:
            yield Text.assemble(line, GAP, end)
            continue
        yield Text(line)
        yield laid(Text(GAP) + end, out)


def _table(receipts: Sequence[Receipt]) -> list[tuple[str, ...]]:
    head: tuple[str, ...] = ("run", "no.", "boundary", "inputs", "messages")
    cells = [
        (
            flat(one.run_id),
            f"{one.sequence}",
            one.boundary,
            f"{len(one.contributing_input_ids):,}",
            f"{one.message_count:,}",
        )
        for one in receipts
    ]
    return [head, *cells]
