"""What Anthropic is told of a form that an answer must have."""

from __future__ import annotations

import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm.anthropic import unsupported
from tests.llm.anthropic.kit import (
    body,
)
from tests.llm.kit import user

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/t"}},
        "one": {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
    },
    "required": ["n"],
    "additionalProperties": True,
    "$defs": {"t": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def test_a_form_is_said_as_far_as_the_dialect_can() -> None:
    asked = body(user("x"), output=OutputSchema(schema=SCHEMA))
    assert asked["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "n": {"type": "integer"},
                "tags": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/t"}},
                "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["n"],
            "additionalProperties": False,
            "$defs": {
                "t": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "additionalProperties": False,
                }
            },
        },
    }
    assert [*unsupported(SCHEMA)] == [
        "minimum at #/properties/n",
        "maxItems at #/properties/tags",
        "maxLength at #/properties/one/oneOf/0",
        "additionalProperties at #",
    ]


def test_of_formats_only_those_that_are_known_are_said() -> None:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "cost": {"type": "string", "format": "decimal"},
            "format": {"type": "string"},
        },
    }
    asked = body(user("x"), output=OutputSchema(schema=schema))
    assert asked["output_config"]["format"]["schema"]["properties"] == {
        "at": {"type": "string", "format": "date-time"},
        "cost": {"type": "string"},
        "format": {"type": "string"},
    }
    assert [*unsupported(schema)] == ["format at #/properties/cost"]


def test_an_object_that_may_be_null_is_closed_too() -> None:
    perhaps: dict[str, Json] = {"type": ["object", "null"], "properties": {"n": {}}}
    form = body(user("x"), output=OutputSchema(schema=perhaps))["output_config"]["format"]
    assert form["schema"] == {**perhaps, "additionalProperties": False}


PLAIN: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
NODE: dict[str, Json] = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
}
TEXTS: dict[str, Json] = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        TEXTS,
        {"type": "object", "properties": {"by_name": TEXTS}},
        {"type": "array", "items": {"type": "object"}},
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
    ],
)
def test_a_form_that_would_be_another_is_not_said_at_all(schema: dict[str, Json]) -> None:
    assert "output_config" not in body(user("x"), output=OutputSchema(schema=schema))


def test_a_form_that_stands_behind_a_name_is_said() -> None:
    named: dict[str, Json] = {
        "$ref": "#/$defs/pair",
        "$defs": {
            "pair": {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
            },
            "n": {"type": "integer"},
        },
    }
    told = body(user("x"), output=OutputSchema(schema=named))["output_config"]["format"]["schema"]
    assert told["properties"] == {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}}


@pytest.mark.parametrize(
    ("model", "has"),
    [
        ("claude-opus-4-6", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-opus-4-1", True),
        ("claude-haiku-4-5", True),
        ("claude-5", True),
        ("claude-fable-5-1", True),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-5-sonnet-20241022", False),
        ("some-model", False),
    ],
)
def test_only_models_that_can_are_held_to_a_form(model: str, has: bool) -> None:
    asked = body(user("x"), model=model, output=OutputSchema(schema=PLAIN))
    assert ("output_config" in asked) is has
