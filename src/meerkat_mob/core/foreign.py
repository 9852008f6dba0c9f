"""Stored JSON in the forms that others, and older versions, write: brought to ours.

Two things differ everywhere: absent fields may be there as null, and instants may be objects or
text. Values whose shape is not ours (``OPAQUE``) are never looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from meerkat_mob.core.jsonvalue import Json

OPAQUE: Final = frozenset(
    {
        "app_context",
        "args",
        "hooks_override",
        "input_schema",
        "output_schema",
        "provider_params",
        "schema",
    }
)
STAGED: Final = frozenset({"pending", "pending_initial_prompt", "pending_tool_results"})
"""Members of our states under which things wait that carry the instant of their acceptance."""


def without_nulls(value: Json) -> Json:
    """The same value without members that are null, at every level that is ours."""
    if isinstance(value, Mapping):
        return {
            key: item if key in OPAQUE else without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def with_instants(value: Json, convert: Callable[[Json], Json]) -> Json:
    """The same state with every ``accepted_at`` converted. Raises what ``convert`` raises."""
    if isinstance(value, Mapping):
        return {
            key: convert(item)
            if key == "accepted_at"
            else with_instants(item, convert)
            if key in STAGED
            else item
            for key, item in value.items()
        }
    return [with_instants(item, convert) for item in value] if isinstance(value, list) else value
