"""``meerkat-mob doctor``: whether keys, servers and models are there, and what to do if not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.text import Text

from meerkat_mob.core.metadata import SessionLlmIdentity, by_name
from meerkat_mob.errors import InvalidParams, LlmFailed, LlmKeyMissing
from meerkat_mob.llm import SCRIPTED, Catalogue, ClientChoice, Clients
from meerkat_mob.llm.catalogue import FAMILY
from meerkat_mob.llm.providers import HOMES
from meerkat_mob.mob.definition import MobDefinition, load_pack
from meerkat_mob.surfaces.cli.exit_codes import FAILED, OK
from meerkat_mob.surfaces.cli.jsonlines import write_json
from meerkat_mob.surfaces.cli.models import catalogue_of, names_at
from meerkat_mob.surfaces.cli.options import DoctorOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET, WARN
from meerkat_mob.surfaces.cli.streams import Streams
from meerkat_mob.surfaces.cli.words import clean, counted

Status: TypeAlias = Literal["ok", "unused", "warning", "error"]
Names: TypeAlias = tuple[str, ...] | LlmFailed
"""What a server says it has, or why it did not say it."""

ANY: Final = "?"
"""Stands for a model where any will do."""
SHOWN: Final = 5
"""Names of other models that a hint holds."""
STYLES: Final[Mapping[Status, str]] = {"ok": GOOD, "unused": QUIET, "warning": WARN, "error": BAD}


class Check(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that was looked at. ``hint`` is what to do, where there is something to do."""

    subject: str
    status: Status
    told: str
    hint: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; ``ok`` is false when one is an error. ``--json`` prints it."""

    ok: bool
    checks: tuple[Check, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is to answer; ``ANY`` asks only whether somebody is there.

    With ``may_lack`` it is no fault that its key is not set: nobody has asked for it yet.
    """

    subject: str
    asked: SessionLlmIdentity
    may_lack: bool = False


def doctor(options: DoctorOptions, streams: Streams) -> int:
    """Looks at everything, prints what it found, and returns the exit code."""
    if streams.err.is_terminal and not options.json:
        with streams.err.status("asking the servers"):
            health = asyncio.run(examined(options, os.environ))
    else:
        health = asyncio.run(examined(options, os.environ))
    if options.json:
        write_json(streams.out.file, msgspec.json.encode(health))
    else:
        _show(health, streams.out)
    return OK if health.ok else FAILED


async def examined(options: DoctorOptions, env: Mapping[str, str]) -> Health:
    """Every check. Raises what reading the files raises."""
    catalogue = catalogue_of(options.models)
    clients = Clients(base_url=options.base_url, api_key=options.api_key, env=env, models=catalogue)
    checks: list[Check] = []
    at: dict[ClientChoice, list[Wanted]] = {}
    for one in _wanted(options, catalogue):
        try:
            choice = clients.choice(one.asked)
        except (LlmFailed, InvalidParams) as fault:
            checks.append(_refused(one, fault))
            continue
        if choice.dialect == SCRIPTED:
            checks.append(Check(subject=one.subject, status="ok", told="plays offline"))
        else:
            at.setdefault(choice, []).append(one)
    answers = await asyncio.gather(*map(_asked, at))
    for (choice, wanted), names in zip(at.items(), answers, strict=True):
        checks += _judged(choice, wanted, names, catalogue)
    return Health(ok=all(check.status != "error" for check in checks), checks=tuple(checks))


async def _asked(choice: ClientChoice) -> Names:
    try:
        return await names_at(choice)
    except LlmFailed as fault:
        return fault


def _wanted(options: DoctorOptions, catalogue: Catalogue) -> Iterator[Wanted]:
    """What the team needs; without one, whatever could be asked here."""
    if options.definition is not None:
        definition = load_pack(options.definition, compat=options.compat).definition
        yield from _of_team(definition)
    elif options.base_url:
        yield Wanted(subject=options.base_url, asked=by_name(ANY))
    else:
        for provider in HOMES:
            asked = SessionLlmIdentity(model=ANY, provider=provider)
            yield Wanted(subject=provider, asked=asked, may_lack=True)
        for server in catalogue.servers:
            asked = SessionLlmIdentity(
                model=ANY, provider="self_hosted", self_hosted_server_id=server
            )
            yield Wanted(subject=f"servers.{server}", asked=asked)
        for name, facts in catalogue.models.items():
            if facts.server is not UNSET and not name.endswith(FAMILY):
                yield Wanted(subject=f"models.{name}", asked=by_name(name))


def _of_team(definition: MobDefinition) -> Iterator[Wanted]:
    """Each model once, with the profiles that want it."""
    wanted: dict[SessionLlmIdentity, list[str]] = {}
    for name, profile in definition.profiles.items():
        for asked in profile.identities():
            wanted.setdefault(asked, []).append(name)
    for asked, names in wanted.items():
        yield Wanted(subject=f"{asked.model} (for {', '.join(names)})", asked=asked)


def _refused(one: Wanted, fault: LlmFailed | InvalidParams) -> Check:
    if isinstance(fault, LlmKeyMissing) and one.may_lack:
        hint = f"set {' or '.join(fault.variables)} to use it"
        return Check(subject=one.subject, status="unused", told="no key is set", hint=hint)
    if isinstance(fault, LlmFailed):
        return Check(subject=one.subject, status="error", told=fault.detail, hint=fault.hint)
    return Check(subject=one.subject, status="error", told=str(fault))


def _judged(
    choice: ClientChoice, wanted: Sequence[Wanted], names: Names, catalogue: Catalogue
) -> Iterator[Check]:
    where = choice.base_url
    if isinstance(names, LlmFailed):
        for one in wanted:
            yield _refused(one, names)
        return
    for one in wanted:
        if one.asked.model == ANY:
            told = f"{where} answers, and has {counted(len(names), 'model')}"
            yield Check(subject=one.subject, status="ok", told=told)
        else:
            called = catalogue.facts(one.asked.model).name
            model = one.asked.model if called is UNSET else called
            yield _found(one.subject, model, names, where)


def _found(subject: str, model: str, names: Sequence[str], where: str) -> Check:
    """A name that is not listed may still be another name of one that is: this is no error."""
    if model in names:
        return Check(subject=subject, status="ok", told=f"{model} is at {where}")
    near = [name for name in names if name.startswith(model) or model.startswith(name)]
    have = ", ".join((near or list(names))[:SHOWN])
    return Check(
        subject=subject,
        status="warning",
        told=f"{model} is not among the models that {where} tells of",
        hint=f"there is {have}" if have else "load a model there",
    )


def _show(health: Health, console: Console) -> None:
    for one in health.checks:
        line = Text.assemble(
            (f"{one.status:<8}", STYLES[one.status]),
            (clean(one.subject), "bold"),
            f": {clean(one.told)}",
        )
        console.print(line, soft_wrap=True)
        if one.hint:
            console.print(Text(f"        {clean(one.hint)}", QUIET), soft_wrap=True)
