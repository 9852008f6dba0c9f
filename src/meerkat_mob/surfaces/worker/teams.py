"""Team files as a page gets them: bytes with a name, and a view of the team for people.

What is inside an archive is measured before it is unpacked: a page has little memory to lose.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

import msgspec

from meerkat_mob.errors import DefinitionUnreadable
from meerkat_mob.llm import parse_performance
from meerkat_mob.mob import addressee, default_members
from meerkat_mob.mob.definition import (
    Diagnostic,
    MobDefinition,
    Pack,
    capability_warnings,
    read_pack_files,
    read_team_file,
    warnings_of,
)
from meerkat_mob.mob.facts import MemberSpawned, PeersWired, SessionRef
from meerkat_mob.mob.offer import OFFERED
from meerkat_mob.mob.roster import Roster
from meerkat_mob.mob.wiring import wiring_targets
from meerkat_mob.surfaces.playing import ensure_playable

MOST_FILES: Final = 1000
MOST_BYTES: Final = 16 * 2**20


class SeatView(msgspec.Struct, frozen=True, kw_only=True):
    """A member to be, and what people may want to know of it."""

    member: str
    profile: str
    model: str
    description: str
    tools: tuple[str, ...]
    skills: tuple[str, ...]


class TeamView(msgspec.Struct, frozen=True, kw_only=True):
    """A team before it plays. ``wires`` are pairs of members; ``scripted``: it has a script."""

    mob_id: str
    source: str
    description: str
    lead: str
    members: tuple[SeatView, ...]
    wires: tuple[tuple[str, str], ...]
    scripted: bool
    warnings: tuple[Diagnostic, ...]


def read_team(name: str, content: bytes) -> Pack:
    """A team that a mob can be made from: a zip of a pack, or a definition by itself.

    Raises ``DefinitionUnreadable``, ``DefinitionInvalid`` with every finding, also about its
    performance, and ``CapabilityUnavailable``.
    """
    if name.lower().endswith(".zip"):
        pack = read_pack_files(_unpacked(name, content))
    elif name.lower().endswith((".toml", ".json")):
        pack = read_team_file(name.lower(), content)
    else:
        why = "a team is a .zip of a pack, or a .toml or .json file"
        raise DefinitionUnreadable(path=name, why=why)
    ensure_playable(pack)
    if pack.performance is not None:
        parse_performance(pack.performance)
    return pack


def _unpacked(name: str, content: bytes) -> Mapping[str, bytes]:
    try:
        with ZipFile(BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if _is_wanted(entry)]
            if len(entries) > MOST_FILES or sum(e.file_size for e in entries) > MOST_BYTES:
                why = f"it holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MB"
                raise DefinitionUnreadable(path=name, why=why)
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, zlib.error) as fault:
        raise DefinitionUnreadable(path=name, why=f"it is no readable zip: {fault}") from fault
    return _without_top(files)


def _is_wanted(entry: ZipInfo) -> bool:
    return not entry.is_dir() and not entry.filename.startswith("__MACOSX/")


def _without_top(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The files of a folder that was zipped as one."""
    tops = {path.partition("/")[0] for path in files}
    if len(tops) != 1 or any("/" not in path for path in files):
        return files
    return {path.partition("/")[2]: content for path, content in files.items()}


def view_of(pack: Pack) -> TeamView:
    """The team as a page shows it before anybody is spawned."""
    definition = pack.definition
    members = default_members(definition)
    info = None if pack.manifest is None else pack.manifest.mobpack
    return TeamView(
        mob_id=definition.id,
        source=pack.source,
        description="" if info is None else info.description or "",
        lead=addressee(definition, members),
        members=tuple(_seat(definition, m, p) for m, p in members.items()),
        wires=_wires(definition, members),
        scripted=pack.performance is not None,
        warnings=(
            *warnings_of(pack.diagnostics),
            *capability_warnings(definition, OFFERED),
        ),
    )


def _seat(definition: MobDefinition, member: str, name: str) -> SeatView:
    profile = definition.profiles[name]
    flags = msgspec.structs.asdict(profile.tools)
    return SeatView(
        member=member,
        profile=name,
        model=profile.model,
        description=profile.peer_description,
        tools=tuple(flag for flag, on in flags.items() if on is True and flag in OFFERED),
        skills=profile.skills,
    )


def _wires(definition: MobDefinition, members: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The wiring that spawning will make, by the same rule."""
    roster, wires = Roster(), list[tuple[str, str]]()
    for member, profile in members.items():
        peers = wiring_targets(definition, roster, member=member, profile=profile)
        roster.apply(
            MemberSpawned(member=member, profile=profile, member_ref=SessionRef(session_id=member))
        )
        for peer in peers:
            roster.apply(PeersWired(a=peer, b=member))
            wires.append((peer, member))
    return tuple(wires)
