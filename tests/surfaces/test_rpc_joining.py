"""Calls by which members come, and profiles of the realm they are made from."""

from __future__ import annotations

import json

import pytest

from meerkat_mob.errors import InvalidParams, MobNotFound, RevisionConflict
from meerkat_mob.llm import ScriptedLlm
from tests.mob.teams import a_team
from tests.surfaces.kit import wire


async def test_a_member_is_asked_for_with_all_that_a_program_may_say() -> None:
    async with wire(ScriptedLlm({"dev": ["begun"], "twin": ["me too"]})) as there:
        await there.create(a_team("lead", "dev"))
        await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")
        made = await there.call(
            "mob/spawn",
            mob_id="team",
            profile="dev",
            meerkat_id="dev",
            initial_message="begin",
            context={"sprint": 7},
            additional_instructions=["Be short."],
            auto_wire_parent=True,
            parent="lead",
            tool_access_policy={"type": "deny_list", "value": ["mob_create_task"]},
            budget_split_policy={"type": "fixed", "value": 100},
        )
        told = await there.call("mob/wait_kickoff", mob_id="team", timeout_ms=5000)
        assert [one["kickoff"]["phase"] for one in told["members"] if "kickoff" in one] == [
            "started"
        ]
        await there.call("mob/wait_idle", mob_id="team")
        history = await there.call("session/history", session_id=made["session_id"])
        prompt = history["messages"][0]["content"]
        assert "Be short." in prompt
        assert '"sprint":7' in prompt
        fork = {"mode": "fork", "source_member_id": "dev"}
        twin = await there.call(
            "mob/spawn", mob_id="team", profile="dev", meerkat_id="twin", launch_mode=fork
        )
        remembered = await there.call("session/history", session_id=twin["session_id"])
        assert "begun" in json.dumps(remembered)
        both = {"resume_session_id": made["session_id"], "launch_mode": fork}
        with pytest.raises(InvalidParams, match="leave one of them out"):
            await there.call("mob/spawn", mob_id="team", profile="dev", meerkat_id="x", **both)
        await there.call("mob/retire", mob_id="team", meerkat_id="dev")


async def test_helpers_are_called_for_one_task() -> None:
    script = ScriptedLlm({"hand": ["done"], "echo": ["as you said"], "dev": ["I said so"]})
    async with wire(script) as there:
        await there.create(a_team("lead", "dev"))
        await there.call("mob/spawn", mob_id="team", profile="dev", meerkat_id="dev")
        found = await there.call(
            "mob/spawn_helper",
            mob_id="team",
            prompt="do it",
            member_id="hand",
            options={"role_name": "dev", "parent": "dev"},
        )
        assert (found["member_id"], found["output"], found["is_cut"]) == ("hand", "done", False)
        found = await there.call(
            "mob/fork_helper",
            mob_id="team",
            source_member_id="dev",
            prompt="and?",
            member_id="echo",
            fork_context={"type": "last_messages", "count": 2},
        )
        assert (found["profile"], found["output"]) == ("dev", "as you said")
        members = (await there.call("mob/members", mob_id="team"))["members"]
        assert [one["meerkat_id"] for one in members] == ["dev"]


async def test_profiles_of_the_realm_are_made_changed_and_deleted_by_calls() -> None:
    profile = {"model": "scripted", "tools": {"comms": True}}
    async with wire() as there:
        made = await there.call("mob/profile/create", name="smith", profile=profile)
        assert made["revision"] == 1
        changed = await there.call(
            "mob/profile/update",
            name="smith",
            profile={**profile, "peer_description": "forges"},
            expected_revision=1,
        )
        assert (changed["revision"], changed["profile"]["peer_description"]) == (2, "forges")
        assert (await there.call("mob/profile/list"))["profiles"] == [changed]
        with pytest.raises(RevisionConflict):
            await there.call("mob/profile/delete", name="smith", expected_revision=1)
        document = {"id": "team", "profiles": {"dev": {"realm_profile": "smith"}}}
        await there.call("mob/create", definition=document)
        await there.call("mob/spawn", mob_id="team", profile="dev", meerkat_id="dev")
        await there.call("mob/profile/delete", name="smith", expected_revision=2)
        assert (await there.call("mob/profile/get", name="smith"))["profile"] is None
        with pytest.raises(InvalidParams, match=r"profile\.tools\.coms: unknown key"):
            await there.call(
                "mob/profile/create", name="x", profile={"model": "m", "tools": {"coms": True}}
            )


async def test_a_mob_that_was_shut_down_is_called_back() -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")
        await there.realm.mob("team").shutdown()
        told = await there.call("mob/resume", mob_id="team")
        assert (told["status"], told["member_count"]) == ("Running", 1)
        with pytest.raises(MobNotFound):
            await there.call("mob/resume", mob_id="other")
