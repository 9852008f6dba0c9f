"""A JSON Schema, read once and asked as often as one likes."""

from __future__ import annotations

from meerkat_mob.core.json_schema.looking import Look, SchemaFault
from meerkat_mob.core.json_schema.reading import Reader
from meerkat_mob.core.jsonvalue import Json


class JsonSchema:
    """A schema that was found to be one. Made once, asked as often as one likes."""

    def __init__(self, schema: Json, *, path: str = "schema") -> None:
        """Raises ``InvalidOutputSchema`` with the place of what is no schema."""
        self._root = schema
        self._places: dict[str, Json] = {}
        Reader(schema, path, self._places).read(schema, path)

    def fault(self, value: Json) -> SchemaFault | None:
        """The first reason why the value does not fit; None when it does."""
        look = Look(self._places)
        fault = look.at(self._root, value, "$", 0)
        return look.endless or fault
