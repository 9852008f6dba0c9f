"""``meerkat-mob receipts``: what runs proved to have applied, held against what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.runtime.outside import check_receipts
from meerkat_mob.sessions.outside import find_kept, list_kept
from meerkat_mob.sessions.receipts import ReceiptCheck
from meerkat_mob.sessions.views import SessionQuery
from meerkat_mob.surfaces.cli.exit_codes import FAILED, OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import InboxOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import ago, counted, flat


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt, and the first thing in which the stored messages differ from it."""

    session_id: str
    receipt: Receipt
    at: int
    agrees: bool
    difference: str | None


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints."""

    ok: bool
    receipts: tuple[Checked, ...]


async def _checked(options: InboxOptions) -> tuple[Checked, ...]:
    found: list[Checked] = []
    async with realm_from_outside(options.realm) as realm:
        if options.session is None:
            every = await list_kept(realm.reader, SessionQuery(), archived=True)
            ids = [one.session_id for one in every.sessions if not one.damaged]
        else:
            ids = [await find_kept(realm.reader, options.session)]
        for name in ids:
            found += [_told(name, check) async for check in check_receipts(realm.reader, name)]
    return tuple(found)


def _told(session_id: str, check: ReceiptCheck) -> Checked:
    return Checked(
        session_id=session_id,
        receipt=check.receipt,
        at=check.at,
        agrees=check.agrees,
        difference=check.difference,
    )


def show_receipts(options: InboxOptions, streams: Streams) -> int:
    """Verifies the receipts of a session, or of all. Returns 1 when one does not agree."""
    checked = asyncio.run(_checked(options))
    wrong = [one for one in checked if not one.agrees]
    if options.json:
        told = Receipts(ok=not wrong, receipts=checked)
        write_json(streams.out.file, msgspec.json.encode(told))
        return FAILED if wrong else OK
    for line in rows(checked, now=now_ms()):
        streams.out.print(line, soft_wrap=True)
    end = f"{counted(len(checked), 'receipt')}: {len(checked) - len(wrong):,} agree"
    if wrong:
        first = wrong[0]
        end += f"; the first that does not: {first.session_id}, {first.difference}"
    streams.err.print(Text(end, BAD if wrong else QUIET), soft_wrap=True)
    return FAILED if wrong else OK


def rows(checked: Sequence[Checked], *, now: int) -> Iterator[Text]:
    """A line for each receipt: its run, what it applied, and whether that is what is stored."""
    for one in checked:
        receipt = one.receipt
        inputs = counted(len(receipt.contributing_input_ids), "input")
        yield Text.assemble(
            (f"{ago(one.at, now):>9}  ", QUIET),
            ("agrees " if one.agrees else "DIFFERS", GOOD if one.agrees else BAD),
            f"  run {flat(receipt.run_id)} no. {receipt.sequence} at {receipt.boundary}: ",
            f"{inputs}, ",
            f"{counted(receipt.message_count, 'message')} ",
            (receipt.conversation_digest[:12], QUIET),
            (f"  {one.difference}" if one.difference else "", BAD),
        )
