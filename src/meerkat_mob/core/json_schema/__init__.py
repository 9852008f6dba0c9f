"""Whether a JSON value fits a JSON Schema, and where it does not (draft 2020-12).

A schema comes with a team, so it is data and nothing else: no code is made of it and nothing is
fetched for it. A keyword that we cannot hold a value to is refused, never passed over. That is why
no library does this: the maintained one needs an extension module that a tab has not, and the pure
one makes code, opens URLs, knows nothing newer than draft 7 and ignores what it does not know.

``format`` and the like are annotations. A pattern is Python's; one that backtracks without end
does so here too.
"""

from __future__ import annotations

from meerkat_mob.core.json_schema.looking import SchemaFault
from meerkat_mob.core.json_schema.schema import JsonSchema

__all__ = ("JsonSchema", "SchemaFault")
