"""Which schemas OpenAI can hold a model to, and what is lost."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.responses.strict_form import strict_form, unsupported, with_root


def place(schema: Json) -> dict[str, Json]:
    """A schema at ``#/properties/x`` of one that is fine."""
    return {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "additionalProperties": False,
    }


def lost(schema: dict[str, Json]) -> list[str]:
    return [str(one) for one in unsupported(schema)]


TEXT: dict[str, Json] = {"type": "string"}


class Street(msgspec.Struct):
    name: str
    number: int | None = None


class Person(msgspec.Struct):
    """Somebody."""

    name: str
    kind: Literal["cat", "dog"]
    age: Annotated[int, msgspec.Meta(ge=0)] = 0
    streets: list[Street] = []
    friend: Person | None = None


def test_a_type_of_msgspec_has_a_strict_form_without_loss() -> None:
    schema = msgspec.json.schema(Person)
    assert "$ref" in schema
    assert lost(schema) == []
    form: Any = strict_form(schema)
    assert (form["type"], form["description"]) == ("object", "Somebody.")
    assert form["required"] == ["name", "kind", "age", "streets", "friend"]
    assert form["properties"]["kind"] == {"type": "string", "enum": ["cat", "dog"]}
    assert form["properties"]["age"] == {"type": "integer", "minimum": 0}
    assert form["properties"]["streets"]["items"] == {"$ref": "#/$defs/Street"}
    assert form["$defs"]["Street"]["additionalProperties"] is False
    assert form["$defs"].keys() == {"Person", "Street"}


def test_a_reference_at_the_top_is_replaced_by_what_it_names() -> None:
    assert with_root({"$ref": "#/$defs/a", "$defs": {"a": TEXT}}) == {**TEXT, "$defs": {"a": TEXT}}
    for lone in ({"$ref": "#/$defs/b"}, {"$ref": "http://there/b"}, TEXT):
        assert with_root(lone) == lone


def test_a_strict_form_is_its_own_strict_form() -> None:
    form = strict_form(msgspec.json.schema(Person))
    assert form is not None
    assert strict_form(form) == form


@pytest.mark.parametrize(
    "schema",
    [
        TEXT,
        {"type": "string", "pattern": "^a", "format": "date-time"},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 9, "multipleOf": 0.5},
        {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2},
        {"type": ["string", "null"], "description": "d", "title": "t"},
        {"anyOf": [TEXT, {"type": "null"}]},
        {"$ref": "#"},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    ],
)
def test_what_strict_mode_can_say_stays_as_it_is(schema: Json) -> None:
    assert lost(place(schema)) == []
    assert strict_form(place(schema)) == place(schema)


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        ({**TEXT, "default": "a", "examples": ["b"], "deprecated": True}, TEXT),
        ({"$ref": "#", "description": "d", "default": None}, {"$ref": "#"}),
        ({"enum": ["a", "b"]}, {"enum": ["a", "b"], "type": "string"}),
        ({"enum": ["a", None]}, {"enum": ["a", None], "type": ["string", "null"]}),
        ({"const": 1}, {"const": 1, "type": "integer"}),
        ({"enum": [True, 1.5]}, {"enum": [True, 1.5], "type": ["boolean", "number"]}),
    ],
)
def test_what_forbids_nothing_is_left_out_without_a_word(schema: Json, form: Json) -> None:
    assert lost(place(schema)) == []
    assert strict_form(place(schema)) == place(form)


@pytest.mark.parametrize(
    ("schema", "form", "keyword"),
    [
        ({**TEXT, "minLength": 1}, TEXT, "minLength"),
        ({**TEXT, "format": "uri"}, TEXT, "format"),
        ({**TEXT, "not": {"const": "a"}}, TEXT, "not"),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}, "oneOf"),
        (
            {"type": "array", "items": TEXT, "uniqueItems": True},
            {"type": "array", "items": TEXT},
            "uniqueItems",
        ),
        ({**place(TEXT), "additionalProperties": True}, place(TEXT), "additionalProperties"),
    ],
)
def test_what_is_lost_is_named_with_its_place(schema: Json, form: Json, keyword: str) -> None:
    assert lost(place(schema)) == [f"{keyword} at #/properties/x"]
    assert strict_form(place(schema)) == place(form)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({}, ["type"]),
        (True, ["type"]),
        ({"type": "object"}, ["additionalProperties"]),
        ({"type": "object", "additionalProperties": TEXT}, ["additionalProperties"]),
        ({"type": "array"}, ["items"]),
        ({"allOf": [TEXT]}, ["allOf", "type"]),
        ({"$ref": "http://there/b"}, ["$ref"]),
        ({**place(TEXT), "required": ["x", "y"]}, ["required"]),
    ],
)
def test_a_place_of_which_nothing_useful_is_left_leaves_no_form(
    schema: Json, named: list[str]
) -> None:
    assert lost(place(schema)) == [f"{keyword} at #/properties/x" for keyword in named]
    assert strict_form(place(schema)) is None


@pytest.mark.parametrize("schema", [TEXT, {"anyOf": [place(TEXT)]}, {"$ref": "#/$defs/none"}])
def test_only_an_object_can_be_at_the_top(schema: dict[str, Json]) -> None:
    assert lost(schema)[-1] == "type at #"
    assert strict_form(schema) is None


def test_places_are_json_pointers() -> None:
    inner: dict[str, Json] = {"type": "string", "maxLength": 2}
    schema = place({"anyOf": [{"type": "array", "items": inner}]})
    assert lost({**schema, "$defs": {"a/b~": inner}}) == [
        "maxLength at #/properties/x/anyOf/0/items",
        "maxLength at #/$defs/a~1b~0",
    ]
