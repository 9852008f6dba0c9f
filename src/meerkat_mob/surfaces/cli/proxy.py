"""``meerkat-mob proxy``: what it says when it starts, what it logs, and its life between.

Where it listens goes to standard output, everything else to standard error. Keys, bodies and
queries are in neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from importlib import import_module
from socket import socket
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob.errors import CapabilityUnavailable, InvalidParams
from meerkat_mob.llm.base_url import is_loopback
from meerkat_mob.surfaces.cli.ending import until_stopped
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.options import ProxyOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, WARN, signs_for
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import flat

if TYPE_CHECKING:  # they need the extra ``serve``
    from meerkat_mob.surfaces.http.gate import Doors
    from meerkat_mob.surfaces.http.proxy import Note
    from meerkat_mob.surfaces.http.upstreams import Upstream

NEEDED: Final = ("httpx2", "starlette", "uvicorn")


class Way(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A path of the proxy, where it leads, and the variables of its key.

    ``served`` is false while none of them is set, and nothing passes.
    """

    path: str
    upstream: str
    served: bool
    key_variables: tuple[str, ...]


class Listening(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="listening"
):
    """The line that says that it has started."""

    address: str
    origins: tuple[str, ...]
    ways: tuple[Way, ...]


def run_proxy(options: ProxyOptions, streams: Streams, *, env: Mapping[str, str]) -> int:
    """Serves until it is stopped; returns the exit code.

    Raises ``CapabilityUnavailable`` without the extra ``serve``, and ``InvalidParams`` for options
    and variables that make no sense, or an address that is taken.
    """
    _check_installed()
    _check_host(options)
    from meerkat_mob.surfaces.http.gate import Doors, origins_of
    from meerkat_mob.surfaces.http.serving import listen
    from meerkat_mob.surfaces.http.upstreams import upstreams_of

    doors = Doors(origins=origins_of(options.origins), host=options.host)
    upstreams = upstreams_of(env, port=options.port)
    with closing(listen(options.host, options.port)) as listening:
        work = _serve(options, streams, listening, doors, upstreams)
        return until_stopped(work, streams, as_json=options.json)


async def _serve(
    options: ProxyOptions,
    streams: Streams,
    listening: socket,
    doors: Doors,
    upstreams: Sequence[Upstream],
) -> None:
    from meerkat_mob.surfaces.http.proxy import open_proxy
    from meerkat_mob.surfaces.http.serving import address_of, serve

    def note(one: Note) -> None:
        if not options.quiet:
            streams.err.print(_logged(one), soft_wrap=True)

    async with open_proxy(upstreams, doors, note) as app:
        _tell_start(options, streams, _started(address_of(listening), doors, upstreams))
        await serve(app, listening)


def _check_host(options: ProxyOptions) -> None:
    """Other machines are let near the keys by a word of its own, and that word alone is a slip."""
    elsewhere = not is_loopback(options.host)
    if elsewhere and not options.expose:
        raise InvalidParams(
            what=f"other machines reach {options.host!r}, and could spend with your keys",
            path="--host",
            hint="leave it out, or add --expose if you mean it",
        )
    if options.expose and not elsewhere:
        raise InvalidParams(
            what=f"it has no effect here: only this machine reaches {options.host}",
            path="--expose",
            hint="leave it out, or name the address to listen on with --host",
        )


def _check_installed() -> None:
    try:
        for name in NEEDED:
            import_module(name)
    except ModuleNotFoundError as absent:
        if absent.name not in NEEDED:
            raise
        raise CapabilityUnavailable(
            capability="the proxy",
            why=f"the module {absent.name} is not installed",
            instead="pip install 'meerkat-mob[serve]' adds it",
        ) from absent


# -- in words --------------------------------------------------------------------------------------


def _started(address: str, doors: Doors, upstreams: Sequence[Upstream]) -> Listening:
    ways = tuple(
        Way(
            path=f"/{one.name}",
            upstream=one.url,
            served=one.served,
            key_variables=one.key_variables,
        )
        for one in upstreams
    )
    return Listening(address=address, origins=tuple(sorted(doors.origins)), ways=ways)


def _tell_start(options: ProxyOptions, streams: Streams, started: Listening) -> None:
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(started))
    else:
        for line in _start_in_words(started, streams.out):
            streams.out.print(line, soft_wrap=True)
    if options.expose:
        told = (
            f": other machines reach {options.host}. Whoever there calls itself one of the origins "
            "spends with your keys"
        )
        streams.err.print(Text.assemble(("warning", WARN), told), soft_wrap=True)


def _start_in_words(started: Listening, out: Console) -> Iterator[Text]:
    arrow = signs_for(out).to
    for way in started.ways:
        leads = way.upstream if way.served else f"no key: set {' or '.join(way.key_variables)}"
        yield Text.assemble(
            (f"{started.address}{way.path}", "bold" if way.served else QUIET),
            (f" {arrow} ", QUIET),
            (leads, "" if way.served else WARN),
        )
    if started.origins:
        yield Text(f"lets in pages of {', '.join(started.origins)}; Ctrl-C ends it")
    else:
        yield Text("lets in no page: name its origin with --origin; Ctrl-C ends it")


def _logged(note: Note) -> Text:
    """A request in one line: method, path, status, how long it took."""
    if note.fault is not None:
        end = (f"{note.fault}, a fault of meerkat-mob: report it", BAD)
    elif note.status is None:
        end = ("left", QUIET)
    elif not note.whole:
        end = (f"{note.status} cut off", WARN)
    else:
        end = (str(note.status), GOOD if note.status < 400 else BAD)
    return Text.assemble(f"{note.method} {flat(note.path)} ", end, (f" {note.ms} ms", QUIET))
