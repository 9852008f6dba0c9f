"""RFC 7396: a patch says what to change in a JSON value. Null removes, a table goes deeper."""

from __future__ import annotations

from collections.abc import Mapping

from meerkat_mob.core.jsonvalue import Json, JsonObject


def merge_patch(target: JsonObject, patch: JsonObject) -> dict[str, Json]:
    """``target`` as ``patch`` wants it. Neither is changed."""
    merged = dict(target)
    for key, wanted in patch.items():
        if wanted is None:
            merged.pop(key, None)
        elif isinstance(wanted, Mapping):
            present = merged.get(key)
            merged[key] = merge_patch(present if isinstance(present, Mapping) else {}, wanted)
        else:
            merged[key] = wanted
    return merged
