"""What a session can be asked to keep: only what can be read back as what it was.

The rule: what cannot be kept is refused before anything happens, by every service alike. A value
of a wrong type would else be acknowledged today and make its session unreadable tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, cast

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import InvalidParams
from meerkat_mob.sessions.facts import Changed, difference, first_values
from meerkat_mob.sessions.state import SessionState

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Changed).decode
_PLACE: Final = re.compile(r" - at `\$\.([^`]*)`")


@contextmanager
def keepable(path: str = "") -> Generator[None, None, None]:
    """Raises ``InvalidParams`` for what is no Unicode text, no JSON, or not of its type."""
    try:
        yield
    except (TypeError, ValueError, msgspec.MsgspecError) as fault:
        place = _PLACE.search(str(fault))
        raise InvalidParams(
            what=f"this cannot be kept: {_PLACE.sub('', str(fault))}",
            path=place.group(1) if place else path,
            hint="give a value of the right type, and text that is Unicode",
        ) from None


def insist_on_form(after: SessionState, before: SessionState | None = None) -> None:
    """Raises ``InvalidParams`` unless what is new in ``after`` can be kept."""
    with keepable():
        _decode(_encode(first_values(after) if before is None else difference(before, after)))


def insist_on_labels(labels: object) -> None:
    """Raises ``InvalidParams`` for what is no mapping from texts to texts."""
    if not isinstance(labels, Mapping):
        raise InvalidParams(
            what="labels are a mapping", path="labels", hint='say {"name": "value"}'
        )
    for name, value in cast("Mapping[object, object]", labels).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidParams(
                what=f"a label is a text, not {value!r}",
                path=f"labels.{name}",
                hint="put it in quotes",
            )


def insist_on_params(params: Json | msgspec.UnsetType) -> None:
    """Raises ``InvalidParams`` for provider parameters that are no object."""
    if params is not msgspec.UNSET and not isinstance(params, Mapping):
        raise InvalidParams(
            what="provider params are no object", path="provider_params", hint="give an object"
        )
