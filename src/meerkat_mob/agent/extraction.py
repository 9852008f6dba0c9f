"""An answer in a form: asked for behind the answer, checked, and asked for again (4.5).

The answer itself is free: a model thinks better in text than in a schema. What it then gives as
JSON is held to the schema here, whatever its provider promised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.json_schema import JsonSchema
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.safe_json import decode_json
from meerkat_mob.errors import StructuredOutputValidationFailed

_FENCED: Final = re.compile(r"\A\s*```[^\n`]*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_SHOWN: Final = 2_000
"""Characters of an answer that an error shows."""

ASK: Final = """\
Now give this answer once more, as one JSON value and nothing else: no words around it, no code
fences. It must fit this JSON Schema:
{schema}"""
ASK_AGAIN: Final = """\
That does not fit: {reason}
Give the whole JSON value again, corrected, and nothing else."""


class Extraction:
    """The form of an agent's answers, and what became of the last one.

    Each run begins with ``request``, and goes on with ``take`` until that finds nothing wrong.
    """

    def __init__(self, output: OutputSchema, attempts: int) -> None:
        """``attempts`` is how often the model may try in all (EXT-3), at least once.

        Raises ``InvalidOutputSchema`` for a form that is none.
        """
        self.output, self._most = output, max(attempts, 1)
        self._schema = JsonSchema(output.schema, path="output_schema")
        self._made = 0
        self.value: Json = None
        """The answer, once it fits."""

    def request(self) -> str:
        """What the model is asked first."""
        self._made, self.value = 0, None
        return ASK.format(schema=msgspec.json.encode(self.output.schema).decode())

    def take(self, text: str) -> str | None:
        """What the model gave. Returns what it is asked next; None when it fits.

        Raises ``StructuredOutputValidationFailed`` when it may try no more.
        """
        self._made += 1
        reason = self._read(text)
        if reason is None:
            return None
        if self._made >= self._most:
            raise self.failure(reason, text)
        return ASK_AGAIN.format(reason=reason)

    def failure(self, reason: str, last: str) -> StructuredOutputValidationFailed:
        """What a run raises that ends without an answer in this form."""
        return StructuredOutputValidationFailed(
            attempts=self._made, reason=reason, last_output=last[:_SHOWN]
        )

    def _read(self, text: str) -> str | None:
        """Why the text is no answer; None when it is, and ``value`` what it says (EXT-2)."""
        found = _FENCED.match(text)
        try:
            value = decode_json(found.group(1) if found else text)
        except ValueError as fault:
            return str(fault)
        misfit = self._schema.fault(value)
        if misfit is not None:
            inner = self._unwrapped(value)
            if inner is None or self._schema.fault(inner) is not None:
                return str(misfit)
            value = inner
        self.value = value
        return None

    def _unwrapped(self, value: Json) -> Json:
        """What stands alone under the schema's own name; None when nothing does."""
        title = self.output.schema.get("title")
        name = title if self.output.name is UNSET else self.output.name
        declared = self.output.schema.get("properties")
        if not isinstance(value, Mapping) or len(value) != 1 or not isinstance(name, str):
            return None
        return None if isinstance(declared, Mapping) and name in declared else value.get(name)
