"""A create request becomes an agent, or is refused before anything exists."""

import pytest

from meerkat_mob.agent import AgentBuilder
from meerkat_mob.core.events import AgentEvent
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import InvalidParams, LlmKeyMissing
from meerkat_mob.llm import LlmClient, ScriptedLlm
from meerkat_mob.testing.builders import a_clock, a_tool_that_echoes


async def test_what_was_asked_for_reaches_the_model() -> None:
    llm, models, said = ScriptedLlm(["hello"]), list[str](), list[AgentEvent]()

    def client_for(asked: SessionLlmIdentity) -> LlmClient:
        models.append(asked.model)
        return llm

    options = SessionBuildOptions(
        comms_name="team/dev/ann",
        provider_params={"seed": 7},
        external_tools=(a_tool_that_echoes(),),
    )
    request = CreateSessionRequest(model="some-model", max_tokens=99, build=options)
    agent = AgentBuilder(client_for=client_for, clock=a_clock())(
        request, session_id="s", transcript=Transcript(), emit=said.append
    )
    assert (agent.model, agent.provider, models) == ("some-model", "scripted", ["some-model"])
    assert (said, llm.requests) == ([], [])
    await agent.run("hi")
    asked = llm.requests[0]
    assert (asked.model, asked.max_tokens, asked.speaker) == ("some-model", 99, "team/dev/ann")
    assert dict(asked.provider_params) == {"seed": 7}
    assert [tool.name for tool in asked.tools] == ["echo"]


def test_a_model_nobody_answers_for_is_refused() -> None:
    def client_for(asked: SessionLlmIdentity) -> LlmClient:
        raise LlmKeyMissing(provider="openai", model=asked.model, variables=("OPENAI_API_KEY",))

    with pytest.raises(LlmKeyMissing, match="OPENAI_API_KEY"):
        AgentBuilder(client_for=client_for, clock=a_clock())(
            CreateSessionRequest(model="m"),
            session_id="s",
            transcript=Transcript(),
            emit=list[AgentEvent]().append,
        )


def test_two_tools_of_one_name_are_refused() -> None:
    twice = SessionBuildOptions(external_tools=(a_tool_that_echoes(), a_tool_that_echoes()))
    with pytest.raises(InvalidParams, match="two tools"):
        AgentBuilder(client_for=lambda _: ScriptedLlm([]), clock=a_clock())(
            CreateSessionRequest(model="m", build=twice),
            session_id="s",
            transcript=Transcript(),
            emit=list[AgentEvent]().append,
        )
