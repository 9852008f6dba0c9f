"""The words of JSON Schema, draft 2020-12, and what each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

ArgumentKind: TypeAlias = Literal[
    "a number",
    "a number above 0",
    "a count",
    "a text",
    "a list",
    "a list of names",
    "true or false",
    "a type, or a list of them",
    "names and lists of names",
    "anything",
]

TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")

ANNOTATIONS: Final = frozenset(
    {
        "$anchor",
        "$comment",
        "$id",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "deprecated",
        "description",
        "discriminator",
        "example",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""They say something about a value, and demand nothing of it."""

SCHEMAS: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
    }
)
"""They take a schema."""

SCHEMA_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})

MAPS: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
"""They take schemas by name."""

ARGUMENTS: Final[Mapping[str, ArgumentKind]] = {
    "const": "anything",
    "dependentRequired": "names and lists of names",
    "enum": "a list",
    "exclusiveMaximum": "a number",
    "exclusiveMinimum": "a number",
    "maxContains": "a count",
    "maxItems": "a count",
    "maxLength": "a count",
    "maxProperties": "a count",
    "maximum": "a number",
    "minContains": "a count",
    "minItems": "a count",
    "minLength": "a count",
    "minProperties": "a count",
    "minimum": "a number",
    "multipleOf": "a number above 0",
    "pattern": "a text",
    "required": "a list of names",
    "type": "a type, or a list of them",
    "uniqueItems": "true or false",
}
"""The others, and what they take."""

INSTEAD: Final[Mapping[str, str]] = {
    "$dynamicRef": 'use "$ref"',
    "$recursiveRef": 'use "$ref"',
    "additionalItems": 'use "items" behind "prefixItems"',
    "dependencies": 'use "dependentRequired" or "dependentSchemas"',
    "nullable": 'use {"type": ["string", "null"]}',
    "unevaluatedItems": 'use "items" behind "prefixItems"',
    "unevaluatedProperties": 'use "additionalProperties" where the fields are named',
}
"""Words of other drafts and dialects."""
