"""JSON Schemas: which there are, and which values fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.json_schema import JsonSchema, SchemaFault
from meerkat_mob.core.json_schema.words import ANNOTATIONS, ARGUMENTS, MAPS, SCHEMA_LISTS, SCHEMAS
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import InvalidOutputSchema

A_TEXT = {"type": "string"}
A_TREE: Json = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "kids": {"items": {"$ref": "#/$defs/Node"}}},
            "required": ["n"],
            "additionalProperties": False,
        }
    },
}

ROWS: list[tuple[Json, list[Json], list[Json]]] = [
    (True, [None, 1, "a"], []),
    (False, [], [None, {}, 0]),
    ({}, [None, [1]], []),
    ({"type": "object"}, [{}], [[], None]),
    ({"type": "array"}, [[]], [{}, "a"]),
    ({"type": "string"}, ["", "a"], [1, None]),
    ({"type": "number"}, [1, 1.5, -0.0], [True, "1"]),
    ({"type": "integer"}, [1, 1.0, -3], [1.5, True, "1"]),
    ({"type": "boolean"}, [True, False], [0, 1, "true"]),
    ({"type": "null"}, [None], [0, False, ""]),
    ({"type": ["string", "null"]}, ["a", None], [1]),
    ({"const": 1}, [1, 1.0], [True, "1", 2]),
    ({"const": {"a": [1, 2]}}, [{"a": [1, 2.0]}], [{"a": [2, 1]}, {"a": [1, 2], "b": 1}]),
    ({"enum": ["a", 1, None, False]}, ["a", 1, 1.0, None, False], [0, True, "b"]),
    ({"minimum": 2}, [2, 3, "a"], [1.9]),
    ({"maximum": 2}, [2, 1], [2.1]),
    ({"exclusiveMinimum": 2}, [2.1], [2]),
    ({"exclusiveMaximum": 2}, [1.9], [2]),
    ({"multipleOf": 0.01}, [19.99, 0, 1e300], [0.001]),
    ({"multipleOf": 3}, [9, -3, 6.0], [1, 3.5]),
    ({"minLength": 2}, ["ab", "äö", 1], ["a"]),
    ({"maxLength": 1}, ["", "ä"], ["ab"]),
    ({"pattern": "^a+$"}, ["a", "aa", 1], ["b", ""]),
    ({"minItems": 1}, [[1], "a"], [[]]),
    ({"maxItems": 1}, [[], [1]], [[1, 2]]),
    ({"uniqueItems": True}, [[1, True, "1"], []], [[1, 1.0], [{"a": 1}, {"a": 1}]]),
    ({"uniqueItems": False}, [[1, 1]], []),
    ({"items": A_TEXT}, [[], ["a"]], [[1], ["a", 2]]),
    ({"prefixItems": [A_TEXT, {}], "items": False}, [[], ["a"], ["a", 1]], [[1], ["a", 1, 2]]),
    ({"contains": A_TEXT}, [[1, "a"]], [[], [1]]),
    ({"contains": A_TEXT, "minContains": 2, "maxContains": 3}, [["a", "b"]], [["a"], ["a"] * 4]),
    ({"contains": A_TEXT, "minContains": 0}, [[]], []),
    ({"required": ["a"]}, [{"a": None}, 1], [{}, {"b": 1}]),
    ({"minProperties": 1}, [{"a": 1}], [{}]),
    ({"maxProperties": 1}, [{}, {"a": 1}], [{"a": 1, "b": 2}]),
    ({"properties": {"a": A_TEXT}}, [{}, {"a": "x", "b": 1}], [{"a": 1}]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}]),
    ({"additionalProperties": A_TEXT}, [{"a": "x"}], [{"a": 1}]),
    (
        {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
        [{"x1": 1}],
        [{"x1": "a"}, {"y": 1}],
    ),
    ({"propertyNames": {"pattern": "^[a-z]+$"}}, [{"ab": 1}], [{"A": 1}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{}, {"a": 1, "b": 1}], [{"a": 1}]),
    ({"allOf": [A_TEXT, {"minLength": 2}]}, ["ab"], ["a", 1]),
    ({"anyOf": [A_TEXT, {"minimum": 2}]}, ["a", 2], [1]),
    ({"oneOf": [{"minimum": 2}, {"maximum": 3}]}, [1, 4], [2, 3]),
    ({"not": A_TEXT}, [1], ["a"]),
    ({"if": A_TEXT, "then": {"minLength": 2}, "else": {"minimum": 2}}, ["ab", 2], ["a", 1]),
    ({"if": A_TEXT}, ["a", 1], []),
    ({"$defs": {"t": A_TEXT}, "items": {"$ref": "#/$defs/t"}}, [["a"]], [[1]]),
    ({"definitions": {"a/b~c": A_TEXT}, "$ref": "#/definitions/a~1b~0c"}, ["a"], [1]),
    ({"$ref": "#/$defs/t", "minLength": 2, "$defs": {"t": A_TEXT}}, ["ab"], ["a", 1]),
    (
        {"items": {"$ref": "#"}, "type": ["array", "integer"]},
        [1, [1, [2]]],
        ["a", [["a"]]],
    ),
    (A_TREE, [{"n": 1, "kids": [{"n": 2, "kids": []}]}], [{"n": 1, "kids": [{"kids": []}]}]),
    ({"allOf": [{"prefixItems": [A_TEXT]}], "$comment": "x", "x-own": 1}, [["a"]], [[1]]),
    ({"format": "email", "default": 3, "title": "T", "discriminator": {}}, ["no address"], []),
    ({"properties": {'"""\n{exit()}': A_TEXT}}, [{'"""\n{exit()}': "a"}], [{'"""\n{exit()}': 1}]),
]


@pytest.mark.parametrize(("schema", "fitting", "others"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_each_word_says_what_fits(schema: Json, fitting: list[Json], others: list[Json]) -> None:
    read = JsonSchema(schema)
    assert [read.fault(value) for value in fitting] == [None] * len(fitting)
    assert all(read.fault(value) is not None for value in others)


def test_each_word_there_is_stands_in_a_row() -> None:
    def words(schema: Json) -> set[str]:
        if isinstance(schema, Mapping):
            return set(schema).union(*map(words, schema.values()))
        if isinstance(schema, str) or not isinstance(schema, Sequence):
            return set()
        return {word for one in schema for word in words(one)}

    there = {word for row in ROWS for word in words(row[0])}
    assert {*ARGUMENTS, *SCHEMAS, *SCHEMA_LISTS, *MAPS, "$ref"} <= there
    assert ANNOTATIONS & there


FAULTS: list[tuple[Json, Json, str]] = [
    (A_TREE, {"n": 1, "kids": [{"n": "x"}]}, "$.kids[0].n: expected integer, and it is string"),
    ({"required": ["a"]}, {}, "$: the field 'a' is missing"),
    (A_TREE, {"n": 1, "m": 2}, "$.m: no such field; there are: n, kids"),
    ({"enum": ["a", "b"]}, "c", '$: it must be one of ["a","b"]'),
    (
        {"anyOf": [{"type": "null"}, {"properties": {"a": A_TEXT}, "type": "object"}]},
        {"a": 1},
        "$.a: expected string, and it is number",
    ),
    ({"oneOf": [{}, {}]}, 1, "$: it fits 2 alternatives, and must fit exactly one"),
    ({"minItems": 2}, [1], "$: it must have at least 2 items, and has 1"),
]


@pytest.mark.parametrize(("schema", "value", "told"), FAULTS)
def test_a_fault_says_where_and_why(schema: Json, value: Json, told: str) -> None:
    assert str(JsonSchema(schema).fault(value)) == told


REFUSED: list[tuple[Json, str]] = [
    ("string", "schema: a schema is an object"),
    ({"type": "strin"}, "schema.type: no type is called 'strin'"),
    ({"type": []}, "schema.type: it must be a type, or a list of them"),
    ({"requierd": ["a"]}, "schema.requierd: .*did you mean 'required'"),
    ({"properties": {"a": {"nullable": True}}}, r"schema.properties.a.nullable: .*\"null\""),
    ({"unevaluatedProperties": False}, "additionalProperties"),
    ({"additionalItems": False}, "prefixItems"),
    ({"dependencies": {}}, "dependentRequired"),
    ({"properties": []}, "schema.properties: names and their schemas"),
    ({"items": [A_TEXT]}, "schema.items: a schema is an object"),
    ({"anyOf": []}, "schema.anyOf: a list of schemas"),
    ({"anyOf": [{}, 3]}, r"schema.anyOf\[1\]: a schema is an object"),
    ({"pattern": "("}, "schema.pattern: no pattern"),
    ({"patternProperties": {"(": {}}}, "schema.patternProperties: no pattern"),
    ({"minLength": "1"}, "schema.minLength: it must be a count"),
    ({"minLength": -1}, "it must be a count"),
    ({"maximum": True}, "it must be a number"),
    ({"multipleOf": 0}, "it must be a number above 0"),
    ({"required": "a"}, "it must be a list of names"),
    ({"uniqueItems": 1}, "it must be true or false"),
    ({"dependentRequired": {"a": "b"}}, "it must be names and lists of names"),
    ({"enum": "a"}, "it must be a list"),
    ({"$ref": "https://example.org/x.json"}, "is not inside this schema"),
    ({"$ref": "file:///etc/hostname"}, "is not inside this schema"),
    ({"$ref": "#/$defs/x"}, r"there is no '#/\$defs/x'"),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": 1}}}, r"schema.*\.x\.type"),
    ({"$ref": "#/anyOf/7", "anyOf": [{}]}, "there is no '#/anyOf/7'"),
    ({"$ref": 3}, "is not inside this schema"),
]


@pytest.mark.parametrize(("schema", "told"), REFUSED)
def test_what_is_no_schema_is_refused_with_its_place(schema: Json, told: str) -> None:
    with pytest.raises(InvalidOutputSchema, match=told):
        JsonSchema(schema)


def nested(levels: int) -> Json:
    schema: Json = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def test_a_schema_without_an_end_is_refused_or_told() -> None:
    with pytest.raises(InvalidOutputSchema, match="nests too deeply"):
        JsonSchema(nested(400))
    chain: dict[str, Json] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(400)}
    with pytest.raises(InvalidOutputSchema, match="nests too deeply"):
        JsonSchema({"$ref": "#/$defs/a0", "$defs": {**chain, "a400": {}}})
    circles: tuple[Json, ...] = (
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"not": {"$ref": "#"}},
    )
    for circle in circles:
        assert "does not come to an end" in str(JsonSchema(circle).fault(1))


def test_a_long_value_is_looked_at_to_its_end() -> None:
    long: list[Json] = [{"n": n} for n in range(20_000)]
    node: Json = {"properties": {"n": {"type": "integer"}}}
    read = JsonSchema({"items": {"$ref": "#/$defs/Node"}, "$defs": {"Node": node}})
    assert read.fault(long) is None
    assert read.fault([*long, {"n": "x"}]) == SchemaFault(
        path="$[20000].n", message="expected integer, and it is string"
    )


# -- schemas that people have --------------------------------------------------------------------


class Item(msgspec.Struct, tag="item"):
    """One thing."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5)]
    price: Annotated[float, msgspec.Meta(ge=0)]
    tags: set[str] = set()


class Box(msgspec.Struct, tag="box", forbid_unknown_fields=True):
    """Things."""

    kind: Literal["a", "b"]
    size: tuple[int, int]
    inside: list[Item | Box] = []
    note: str | None = None
    by: dict[str, Annotated[int, msgspec.Meta(multiple_of=2)]] = {}


plain: st.SearchStrategy[Json] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["item", "box", "a", "x"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "name", "price", "tags", "kind", "size", "inside", "note", "by", "x"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@given(plain)
def test_what_does_not_fit_a_struct_s_schema_is_no_such_struct(value: Json) -> None:
    """What our reader lets through, msgspec takes."""
    read = JsonSchema(msgspec.json.schema(Box))
    if read.fault(value) is None:
        msgspec.convert(value, Box)


items = st.builds(
    Item,
    name=st.text(min_size=1, max_size=5),
    price=st.floats(0, 1e9),
    tags=st.sets(st.text(max_size=2), max_size=2),
)
boxes: st.SearchStrategy[Box] = st.recursive(
    st.builds(Box, kind=st.sampled_from(["a", "b"]), size=st.tuples(st.integers(0, 9), st.just(1))),
    lambda inner: st.builds(
        Box,
        kind=st.just("a"),
        size=st.just((1, 2)),
        inside=st.lists(st.one_of(items, inner), max_size=3),
        note=st.none() | st.text(max_size=3),
        by=st.dictionaries(
            st.text(max_size=2), st.integers(-4, 4).map(lambda n: 2 * n), max_size=2
        ),
    ),
    max_leaves=6,
)


@given(boxes)
def test_every_struct_fits_the_schema_of_its_type(box: Box) -> None:
    read = JsonSchema(msgspec.json.schema(Box))
    assert read.fault(msgspec.json.decode(msgspec.json.encode(box))) is None
