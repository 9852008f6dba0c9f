"""What of a schema Gemini passes over is told, or refused, as its user wants."""

from __future__ import annotations

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm.gemini import request_body
from meerkat_mob.llm.gemini.form import unsupported
from tests.llm.kit import asking

NAME: dict[str, Json] = {"type": "string", "pattern": "^[a-z]+$", "title": "a name"}


LOST: list[tuple[dict[str, Json], list[str]]] = [
    ({"type": "object", "properties": {"n": NAME}}, ["pattern at #/properties/n"]),
    ({"$defs": {"n": NAME}, "$ref": "#/$defs/n"}, ["pattern at #/$defs/n"]),
    ({"type": "array", "items": {"const": 1}}, ["const at #/items"]),
    ({"type": "array", "prefixItems": [{"not": {"type": "null"}}]}, ["not at #/prefixItems/0"]),
    ({"anyOf": [{"type": "string"}, NAME]}, ["pattern at #/anyOf/1"]),
    ({"type": "object", "additionalProperties": NAME}, ["pattern at #/additionalProperties"]),
    ({"enum": ["a", 1, 2.5]}, []),
    ({"enum": ["a", None]}, ["enum at #"]),
    ({"enum": [True]}, ["enum at #"]),
    ({"type": "object", "properties": {"const": {"type": "integer"}}}, []),
    ({"type": "integer", "minimum": 1, "maximum": 2, "description": "small"}, []),
    ({"type": "object", "properties": {"tags": {"type": "array", "minItems": 1}}}, []),
    ({"allOf": [NAME]}, ["allOf at #"]),
]


@pytest.mark.parametrize(("schema", "lost"), LOST)
def test_what_is_passed_over_is_known_with_its_place(
    schema: dict[str, Json], lost: list[str]
) -> None:
    assert [*unsupported(schema)] == lost


def body(output: OutputSchema) -> dict[str, Json]:
    request = msgspec.structs.replace(asking("hi"), output=output)
    return msgspec.json.decode(request_body(request), type=dict[str, Json])


def test_a_form_goes_along_whole() -> None:
    config = body(OutputSchema(schema=NAME))["generationConfig"]
    assert isinstance(config, dict)
    assert config["responseJsonSchema"] == NAME
