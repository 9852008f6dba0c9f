"""The shape of an answer: a wrapper or a bare JSON Schema (spec sessions 1.8)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema, parse_output_schema
from meerkat_mob.errors import InvalidParams
from tests import strategies

SCHEMA: dict[str, Json] = {"type": "object", "properties": {"a": {"const": None}}}


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (SCHEMA, OutputSchema(schema=SCHEMA)),
        ({}, OutputSchema(schema={})),
        ({"schema": SCHEMA}, OutputSchema(schema=SCHEMA)),
        (
            {"schema": SCHEMA, "name": "n", "strict": True, "compat": "strict"},
            OutputSchema(schema=SCHEMA, name="n", strict=True, compat="strict"),
        ),
        ({"schema": SCHEMA, "name": None, "format": "meerkat_v1"}, OutputSchema(schema=SCHEMA)),
        (
            {"schema": SCHEMA, "type": "object"},
            OutputSchema(schema={"schema": SCHEMA, "type": "object"}),
        ),
        ({"schema": "x"}, OutputSchema(schema={"schema": "x"})),
    ],
)
def test_the_wrapper_is_an_object_with_a_schema_and_nothing_else(
    value: Json, parsed: OutputSchema
) -> None:
    assert parse_output_schema(value) == parsed


@given(strategies.output_schemas)
def test_the_wrapper_is_what_is_written(schema: OutputSchema) -> None:
    written = msgspec.json.decode(msgspec.json.encode(schema))
    assert (
        {"schema", "strict", "compat", "format"}
        <= written.keys()
        <= {*OutputSchema.__struct_fields__}
    )
    assert parse_output_schema(written) == schema


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (None, "JSON object"),
        ("x", "JSON object"),
        ([SCHEMA], "JSON object"),
        ({"schema": SCHEMA, "strict": "yes"}, "strict"),
        ({"schema": SCHEMA, "compat": "loose"}, "compat"),
        ({"schema": SCHEMA, "format": "v2"}, "format"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(bad: Json, said: str) -> None:
    with pytest.raises(InvalidParams, match=said) as refusal:
        parse_output_schema(bad, path="profiles.lead.output_schema")
    assert refusal.value.path == "profiles.lead.output_schema"
