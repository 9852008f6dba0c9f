"""A realm with a path: what was said in it is there after the process, or the realm, has gone."""

from pathlib import Path

import pytest

from meerkat_mob import open_realm
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import (
    InvalidParams,
    MobExists,
    RealmLocked,
    RealmUnreadable,
    SessionUnsupported,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import spawn_team
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_turn
from tests.mob.teams import a_team

pytestmark = pytest.mark.native_only


async def test_what_a_team_said_is_there_in_the_next_realm(tmp_path: Path) -> None:
    async with open_realm(tmp_path, llm=ScriptedLlm(["here"])) as realm:
        assert realm.service.supports_persistent_sessions
        mob = await realm.create_mob(a_team("lead"))
        (lead,) = await spawn_team(mob)
        assert await lead.ask("anyone?") == "here"
    async with open_realm(tmp_path, llm=ScriptedLlm([])) as realm:
        (summary,) = await realm.sessions.list(SessionQuery())
        assert summary.session_id == lead.session_id
        history = await realm.sessions.read_history(lead.session_id)
        assert [text_of_message(m) for m in history.messages[-2:]] == ["anyone?", "here"]


async def test_a_member_s_session_does_not_go_on_without_its_tools(tmp_path: Path) -> None:
    async with open_realm(tmp_path, llm=ScriptedLlm([])) as realm:
        (lead,) = await spawn_team(await realm.create_mob(a_team("lead")))
    async with open_realm(tmp_path, llm=ScriptedLlm([])) as realm:
        with pytest.raises(SessionUnsupported, match="send_message"):
            await realm.sessions.start_turn(lead.session_id, a_turn())


async def test_a_realm_can_be_awaited_with_a_path_and_without(tmp_path: Path) -> None:
    for path, persistent in ((tmp_path / "kept", True), (None, False)):
        realm = await open_realm(path, llm=ScriptedLlm([]))
        assert realm.service.supports_persistent_sessions is persistent
        await realm.aclose()
        await realm.aclose()


async def test_a_mob_s_id_stays_taken(tmp_path: Path) -> None:
    for refused in (False, True):
        async with open_realm(tmp_path, llm=ScriptedLlm([])) as realm:
            if refused:
                with pytest.raises(MobExists, match="--id"):
                    await realm.create_mob(a_team("lead"))
            else:
                await realm.create_mob(a_team("lead"))


async def test_a_second_holder_is_refused_with_the_first_one_s_name(tmp_path: Path) -> None:
    async with open_realm(tmp_path, llm=ScriptedLlm([])):
        with pytest.raises(RealmLocked, match="process"):
            await open_realm(tmp_path, llm=ScriptedLlm([]))
    async with open_realm(tmp_path, llm=ScriptedLlm([])):
        pass


async def test_what_is_no_folder_is_no_realm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(RealmUnreadable):
        await open_realm(tmp_path / "file", llm=ScriptedLlm([]))


async def test_labels_to_look_for_are_texts(tmp_path: Path) -> None:
    async with open_realm(tmp_path, llm=ScriptedLlm([])) as realm:
        with pytest.raises(InvalidParams, match=r"labels\.role"):
            await realm.sessions.list(SessionQuery(labels={"role": 1}))  # type: ignore[dict-item]
