"""The form that a profile wants its members' answers to have."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.json_schema import JsonSchema
from meerkat_mob.core.output_schema import OutputSchema, parse_output_schema
from meerkat_mob.errors import InvalidOutputSchema, InvalidParams
from meerkat_mob.mob.definition.model import Profile


def output_of_profile(profile: Profile, *, name: str, place: str) -> OutputSchema | UnsetType:
    """The profile's form under a name; UNSET when its answers are free.

    Raises ``InvalidOutputSchema`` for what is no schema; ``place`` is the profile's.
    """
    if profile.output_schema is None:
        return UNSET
    path = f"{place}.output_schema"
    try:
        output = parse_output_schema(profile.output_schema, path=path)
    except InvalidParams as fault:
        raise InvalidOutputSchema(
            what=fault.what, path=path, hint="write a JSON Schema, or {schema = …}"
        ) from None
    JsonSchema(output.schema, path=path)
    known = name if output.name is UNSET else output.name
    return msgspec.structs.replace(output, name=known, strict=True)
