"""Profiles of a realm in a folder: they are there when it is opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from meerkat_mob.errors import RevisionConflict
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import open_realm
from tests.mob.teams import a_profile
from tests.mob.test_profiles import a_smith, a_team_with_a_smith


@pytest.mark.native_only
async def test_profiles_and_who_was_made_from_them_survive_the_process(tmp_path: Path) -> None:
    llm = ScriptedLlm(lambda _: "noted")
    async with open_realm(tmp_path, llm=llm, env={}) as realm:
        await realm.profiles.create("smith", a_smith())
        await realm.profiles.create("baker", a_profile())
        await realm.profiles.delete("baker", expected_revision=1)
        await (await realm.create_mob(a_team_with_a_smith())).spawn("dev", "dev")
    async with open_realm(tmp_path, llm=llm, env={}) as realm:
        (kept,) = await realm.profiles.list()
        assert (kept.name, kept.revision, kept.profile) == ("smith", 1, a_smith())
        changed = await realm.profiles.update("smith", a_smith("second"), expected_revision=1)
        with pytest.raises(RevisionConflict):
            await realm.profiles.delete("smith", expected_revision=1)
        assert await realm.profiles.delete("smith", expected_revision=2) == changed
    async with open_realm(tmp_path, llm=llm, env={}) as realm:
        assert await realm.profiles.list() == ()
        assert (await realm.profiles.create("smith", a_smith())).revision == 4
        mob = await realm.resume_mob("team")
        assert await mob.member("dev").ask("are you there?") == "noted"
