"""Members whose profile gives their answers a form."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from msgspec.structs import replace

from meerkat_mob import open_realm
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob.definition import MobDefinition
from tests.mob.teams import a_profile, a_team


class Verdict(msgspec.Struct):
    """What a reviewer thinks."""

    good: bool
    why: str = ""


def judges(schema: Mapping[str, Json]) -> MobDefinition:
    return a_team("judge", profiles={"judge": replace(a_profile(), output_schema=schema)})


async def test_a_member_s_answer_has_the_form_of_its_profile() -> None:
    llm = ScriptedLlm(["Fine.", '{"good": true}'])
    async with open_realm(llm=llm) as realm:
        mob = await realm.create_mob(judges(msgspec.json.schema(Verdict)))
        ann = await mob.spawn("judge", "ann")
        answer = await ann.ask("Is it good?")
        assert msgspec.json.decode(answer, type=Verdict) == Verdict(good=True)
        form = llm.requests[1].output
        assert form is not None
        assert (form.name, form.strict) == ("team_judge", True)


async def test_a_profile_s_schema_that_is_none_is_found_before_anything_is_made() -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        with pytest.raises(DefinitionInvalid) as refused:
            await realm.create_mob(judges({"type": "object", "requierd": ["a"]}))
    (found,) = refused.value.diagnostics
    assert (found.code, found.location) == (
        "invalid_output_schema",
        "profiles.judge.output_schema.requierd",
    )
    assert "did you mean 'required'" in found.message
