"""``meerkat-mob sessions export``: a whole session as one JSON document, or nothing of it."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.text import Text

from meerkat_mob.core.blobs import blob_ids, contents_of
from meerkat_mob.core.session import encode_session, export_session
from meerkat_mob.errors import InvalidParams, StoreFailed
from meerkat_mob.mob.outside import realm_from_outside
from meerkat_mob.sessions.outside import KeptSession, find_kept, read_kept
from meerkat_mob.sessions.state import document_of
from meerkat_mob.surfaces.cli.exit_codes import OK, exit_code
from meerkat_mob.surfaces.cli.findings import show_failure
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import ExportOptions
from meerkat_mob.surfaces.cli.palette import QUIET
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import counted

STANDARD_OUTPUT: Final = Path("-")


async def _kept(options: ExportOptions) -> KeptSession:
    async with realm_from_outside(options.realm) as realm:
        return await read_kept(realm.reader, await find_kept(realm.reader, options.session))


def export_to(options: ExportOptions, streams: Streams) -> int:
    """Prints or writes the document. Returns the exit code.

    Raises ``StoreCorrupt`` rather than export a part of it, unless a part is what is wanted.
    """
    kept = asyncio.run(_kept(options))
    if kept.damage is not None and not options.partial:
        raise kept.damage
    document = document_of(kept.state)
    encoded = (encode_session if options.form == "meerkat" else export_session)(document)
    told = f"session {document.id}: {counted(len(document.history), 'message')}"
    if options.output is None or options.output == STANDARD_OUTPUT:
        write_json(streams.out.file, encoded)
    else:
        write_whole(options.output, encoded + b"\n")
        told += f", written to {options.output}"
        streams.err.print(Text(told), soft_wrap=True)
    images = {name for m in document.messages for c in contents_of(m) for name in blob_ids(c)}
    if images:
        told = f"{counted(len(images), 'image')} named in it, and kept in the realm only"
        streams.err.print(Text(told, QUIET), soft_wrap=True)
    if kept.damage is None:
        return OK
    show_failure(streams.err, kept.damage)
    return exit_code(kept.damage)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that whoever opens it sees all of it or what was there before.

    Raises ``InvalidParams`` for a path that cannot be a file, and ``StoreFailed``.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _insist_on_place(path)
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StoreFailed(path=str(path), why=why) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _insist_on_place(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidParams(
            what=f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}",
            path="--output",
            hint="name a file in a folder that is there",
        )
