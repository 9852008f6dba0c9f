"""Members with a shell: who has one, and what becomes of their jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meerkat_mob import open_realm
from meerkat_mob.agent.shell import Shell
from meerkat_mob.core.messages import SystemNotice
from meerkat_mob.llm import Line, LlmRequest, ScriptedLlm, call
from meerkat_mob.mob.definition import ToolConfig
from meerkat_mob.mob.facts import CapabilityMissing
from tests.mob.teams import a_profile, a_team

pytestmark = pytest.mark.native_only
TEAM = a_team("dev", profiles={"dev": a_profile(tools=ToolConfig(comms=True, shell=True))})


async def test_a_member_has_a_shell_when_its_profile_asks_and_the_realm_gives(
    tmp_path: Path,
) -> None:
    llm = ScriptedLlm([call("shell", command="echo hi > note"), "done"])
    async with open_realm(llm=llm, shell=Shell(tmp_path)) as realm:
        mob = await realm.create_mob(TEAM)
        assert await (await mob.spawn("dev", "ann")).ask("go") == "done"
        assert (tmp_path / "note").read_text() == "hi\n"
        kinds = [event.kind for event in await mob.poll_events()]
        assert not any(isinstance(kind, CapabilityMissing) for kind in kinds)
    async with open_realm(llm=ScriptedLlm([]), root=tmp_path) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("dev", "ann")
        kinds = [event.kind for event in await mob.poll_events()]
        assert [k.flag for k in kinds if isinstance(k, CapabilityMissing)] == ["shell"]


WAIT = "while [ ! -e go ]; do sleep 0.02; done"


async def test_a_member_at_rest_is_woken_when_its_job_ends(tmp_path: Path) -> None:
    heard = asyncio.Event()

    def answer(request: LlmRequest) -> Line:
        if any(isinstance(m, SystemNotice) for m in request.messages):
            heard.set()
            return "the build is done"
        return "started" if len(llm.requests) > 1 else call("shell", command=WAIT, background=True)

    llm = ScriptedLlm(answer)
    async with open_realm(llm=llm, shell=Shell(tmp_path)) as realm:
        ann = await (await realm.create_mob(TEAM)).spawn("dev", "ann")
        assert await ann.ask("build it") == "started"
        (tmp_path / "go").touch()
        await asyncio.wait_for(heard.wait(), 30)
        notice = next(m for m in llm.requests[-1].messages if isinstance(m, SystemNotice))
        assert "completed" in notice.body


@pytest.mark.parametrize("destroyed", [True, False])
async def test_jobs_end_with_the_mob_or_the_realm(tmp_path: Path, destroyed: bool) -> None:
    command = "echo $$ > pid; sleep 60"
    llm = ScriptedLlm([call("shell", command=command, background=True), "started"])
    async with open_realm(llm=llm, shell=Shell(tmp_path)) as realm:
        mob = await realm.create_mob(TEAM)
        assert await (await mob.spawn("dev", "ann")).ask("go") == "started"
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text().strip()):
            await asyncio.sleep(0.01)
        if destroyed:
            await mob.destroy()
            assert not is_alive(int(pid.read_text()))
    assert not is_alive(int(pid.read_text()))


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
