"""What the command was asked for, as data: checked for sense before anything is read or started.

An option without an effect is refused: whoever gave it expects one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm import SCRIPTED
from meerkat_mob.mob.definition import Compat


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob run``. ``members`` holds ``profile=id`` texts; ``timeout`` is in seconds.

    ``pace_ms`` is the time between two words of a scripted text; None leaves it to the terminal.
    ``realm`` is the folder where the team is kept, ``mob_id`` the name it gets there. ``root`` is
    the folder that ``builtins`` work in, and where commands begin when there is a ``shell``.
    ``mcp`` lets the servers that the team names be started and reached. ``models`` is a file of
    models and servers.
    """

    definition: Path
    task: str
    members: tuple[str, ...] = ()
    to: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    models: Path | None = None
    script: Path | None = None
    timeout: float | None = None
    pace_ms: int | None = None
    json: bool = False
    quiet: bool = False
    compat: Compat = "0.8"
    realm: Path | None = None
    mob_id: str | None = None
    root: Path | None = None
    shell: bool = False
    mcp: bool = False

    @property
    def scripted(self) -> bool:
        """Whether no model is asked at all."""
        return self.script is not None or self.model == SCRIPTED


class ValidateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob validate``."""

    definition: Path
    json: bool = False
    compat: Compat = "0.8"


class ModelsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob models``. With ``base_url`` it is that server's models, else those known."""

    models: Path | None = None
    base_url: str | None = None
    api_key: str | None = None
    json: bool = False


class DoctorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob doctor``. With a definition its models are looked for, too."""

    definition: Path | None = None
    models: Path | None = None
    base_url: str | None = None
    api_key: str | None = None
    compat: Compat = "0.8"
    json: bool = False


class MobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob ps`` and ``status``. No mob: the only one of the realm, or all in ``ps``."""

    realm: Path
    mob: str | None = None
    json: bool = False


class EventsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob events``: facts behind the cursor ``after``; with ``follow`` new ones too."""

    realm: Path
    mob: str | None = None
    after: int = 0
    follow: bool = False
    json: bool = False


class ResumeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob resume``. Without a task the mob goes on with what was waiting.

    ``model`` answers for every member from now on; without it each has its own.
    """

    realm: Path
    mob: str | None = None
    task: str | None = None
    to: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    models: Path | None = None
    timeout: float | None = None
    root: Path | None = None
    shell: bool = False
    mcp: bool = False
    json: bool = False
    quiet: bool = False


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob sessions list``. ``labels`` holds ``name=value`` texts."""

    realm: Path
    labels: tuple[str, ...] = ()
    archived: bool = False
    limit: int = 20
    offset: int = 0
    json: bool = False


class InboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob inputs`` and ``receipts``. No session: those of all."""

    realm: Path
    session: str | None = None
    all: bool = False
    json: bool = False


class ShowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob sessions show``. ``last`` is how many messages; None for all."""

    realm: Path
    session: str
    last: int | None = None
    json: bool = False


class VerifyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob sessions verify``."""

    realm: Path
    json: bool = False


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob sessions export``. Without ``output`` it goes to standard output.

    ``partial``: of a damaged session what comes before the damage.
    """

    realm: Path
    session: str
    form: Literal["meerkat", "upstream"] = "meerkat"
    output: Path | None = None
    partial: bool = False


class ProxyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``meerkat-mob proxy``. ``expose`` goes with a host that is not loopback's."""

    origins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8787
    expose: bool = False
    json: bool = False
    quiet: bool = False


def check_options(options: RunOptions) -> None:
    """Raises ``InvalidParams`` for a blank task and for options that have no effect together."""
    if not options.task.strip():
        raise InvalidParams(what="the task is blank", path="TASK", hint="say what is to be done")
    if options.shell and options.root is None:
        raise InvalidParams(
            what="commands must begin somewhere", path="--shell", hint="name a folder with --root"
        )
    if options.script is not None and options.model not in {None, SCRIPTED}:
        _no_effect("--model", "--script answers for every member")
    if options.scripted:
        given = (
            ("--base-url", options.base_url),
            ("--api-key", options.api_key),
            ("--models", options.models),
        )
        for flag, value in given:
            if value is not None:
                _no_effect(flag, "a scripted team asks no server")
    elif options.pace_ms is not None:
        _no_effect("--pace", "only scripted texts have a pace")


def _no_effect(flag: str, why: str) -> None:
    raise InvalidParams(what=f"it has no effect here: {why}", path=flag, hint="leave it out")


def members_of(wanted: Sequence[str]) -> Mapping[str, str] | None:
    """Member ids with their profiles, from ``profile=id`` texts; None when none were given.

    Raises ``InvalidParams`` for a text of another form and for an id given twice.
    """
    members: dict[str, str] = {}
    for text in wanted:
        profile, equals, member = (part.strip() for part in text.partition("="))
        if not (profile and equals and member):
            raise InvalidParams(
                what=f"{text!r} is not of the form profile=id",
                path="--member",
                hint="for example --member worker=worker-1",
            )
        if member in members:
            raise InvalidParams(
                what=f"two members are named {member!r}",
                path="--member",
                hint="give each an id of its own",
            )
        members[member] = profile
    return members or None


def labels_of(wanted: Sequence[str]) -> Mapping[str, str]:
    """Labels from ``name=value`` texts.

    Raises ``InvalidParams`` for a text of another form and for two values of one label.
    """
    labels: dict[str, str] = {}
    for text in wanted:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidParams(
                what=f"{text!r} is not of the form name=value",
                path="--label",
                hint="for example --label role=lead",
            )
        if labels.setdefault(name, value) != value:
            raise InvalidParams(
                what=f"no session has two values of the label {name!r}",
                path="--label",
                hint="give each label once",
            )
    return labels
