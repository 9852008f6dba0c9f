"""When a model fails for good, the next one is asked; the transcript stays one conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest

from meerkat_mob import open_realm
from meerkat_mob.agent import Agent
from meerkat_mob.agent.spec import AgentSpec
from meerkat_mob.core.events import AgentEvent, ModelFallback, Retrying, RunCompleted
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import LlmFailed, LlmKeyMissing, ScriptError
from meerkat_mob.llm import (
    LlmClient,
    LlmEvent,
    LlmRequest,
    Reply,
    ScriptedLlm,
    call,
    fail,
    say,
    think,
)
from meerkat_mob.mob.definition import MobDefinition, Profile, ToolConfig, parse_definition
from meerkat_mob.testing.builders import a_tool_that_echoes, the_loop_s_clock

BROKEN = fail(reason="auth_error")
BUSY = fail(retryable=True)


class Of:
    """A scripted model of some provider."""

    def __init__(self, provider: str, *script: Reply | str) -> None:
        self.provider = provider
        self.llm = ScriptedLlm([*script])

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        return self.llm.stream(request)

    async def aclose(self) -> None:
        pass


def an_agent(first: LlmClient, *others: LlmClient, said: list[AgentEvent] | None = None) -> Agent:
    spec = AgentSpec(session_id="s", model="m0", provider_params={"top_k": 1})
    return Agent(
        spec,
        client=first,
        fallbacks=[(f"m{n}", other) for n, other in enumerate(others, 1)],
        tools=[a_tool_that_echoes("echo")],
        transcript=Transcript(),
        emit=(said if said is not None else []).append,
        clock=the_loop_s_clock,
    )


def models(*llms: Of) -> list[list[str]]:
    return [[request.model for request in one.llm.requests] for one in llms]


async def test_the_next_model_is_asked_and_has_the_rest_of_the_run() -> None:
    said: list[AgentEvent] = []
    first = Of("openai", BROKEN, "Back.")
    second = Of("openai", call("echo", text="x"), "Done.")
    agent = an_agent(first, second, said=said)
    assert (await agent.run("go")).text == "Done."
    assert models(first, second) == [["m0"], ["m1", "m1"]]
    (told,) = [event for event in said if isinstance(event, ModelFallback)]
    assert (told.from_model, told.to_model) == ("m0", "m1")
    assert told.error
    assert isinstance(said[-1], RunCompleted)
    assert (await agent.run("again")).text == "Back."
    assert models(first, second) == [["m0", "m0"], ["m1", "m1"]]


@pytest.mark.virtual_only
async def test_a_failure_that_may_pass_is_tried_again_before_another_is_asked() -> None:
    said: list[AgentEvent] = []
    first, second = Of("openai", *[BUSY] * 4), Of("openai", "Done.")
    assert (await an_agent(first, second, said=said).run("go")).text == "Done."
    assert len([event for event in said if isinstance(event, Retrying)]) == 3
    assert models(first, second) == [["m0"] * 4, ["m1"]]


async def test_when_all_fail_the_last_failure_is_told() -> None:
    agent = an_agent(Of("openai", BROKEN), Of("gemini", fail(reason="invalid_model")))
    with pytest.raises(LlmFailed) as failed:
        await agent.run("go")
    assert failed.value.reason == "invalid_model"


async def test_a_script_that_does_not_fit_is_nobody_s_failure() -> None:
    second = Of("openai", "Done.")
    with pytest.raises(ScriptError):
        await an_agent(Of("openai"), second).run("go")
    assert models(second) == [[]]


async def test_params_are_for_the_provider_they_were_written_for() -> None:
    first, same, other = Of("openai", BROKEN), Of("openai", BROKEN), Of("anthropic", "Done.")
    await an_agent(first, same, other).run("go")
    sent = [dict(one.llm.requests[0].provider_params) for one in (first, same, other)]
    assert sent == [{"top_k": 1}, {"top_k": 1}, {}]


async def test_a_conversation_goes_on_at_another_provider_as_it_is() -> None:
    first, second = Of("openai", think("hm") & say("One."), BROKEN), Of("anthropic", "Two.")
    agent = an_agent(first, second)
    await agent.run("a")
    await agent.run("b")
    texts = [text_of_message(message) for message in second.llm.requests[0].messages]
    assert texts == ["a", "One.", "b"]


# -- in sessions and teams -----------------------------------------------------------------------


def only_m1(request: LlmRequest) -> Reply | str:
    return BROKEN if request.model == "m0" else f"I am {request.model}."


async def test_a_session_has_the_fallbacks_it_was_made_with() -> None:
    async with open_realm(llm=ScriptedLlm(only_m1)) as realm:
        build = SessionBuildOptions(fallbacks=("m1",))
        made = CreateSessionRequest(model="m0", initial_turn="defer", build=build)
        session = (await realm.sessions.create_session(made)).session_id
        result = await realm.sessions.start_turn(session, StartTurnRequest(prompt="go"))
        assert result is not None
        assert result.text == "I am m1."
        assert (await realm.sessions.read(session)).state.model == "m0"


def a_team(fallbacks: Sequence[str], model: str = "m0") -> MobDefinition:
    profile = Profile(model=model, fallbacks=tuple(fallbacks), tools=ToolConfig(comms=True))
    return MobDefinition(id="team", profiles={"lead": profile})


async def test_a_profile_names_the_models_that_stand_in() -> None:
    async with open_realm(llm=ScriptedLlm(only_m1)) as realm:
        mob = await realm.create_mob(a_team(["m1"]))
        assert await (await mob.spawn("lead", "ann")).ask("go") == "I am m1."


async def test_a_model_without_a_key_is_refused_before_a_member_exists() -> None:
    async with open_realm(env={"OPENAI_API_KEY": "k"}) as realm:
        mob = await realm.create_mob(a_team(["claude-5"], model="gpt-5"))
        with pytest.raises(LlmKeyMissing, match="ANTHROPIC_API_KEY"):
            await mob.spawn("lead", "ann")
        assert mob.members() == ()


def test_fallbacks_are_written_in_a_team_s_file() -> None:
    text = '[mob]\nid = "t"\n[profiles.lead]\nmodel = "a"\nfallbacks = ["b", "c"]\n'
    profile = parse_definition(text, syntax="toml").profiles["lead"]
    assert profile.fallbacks == ("b", "c")
    assert msgspec.json.decode(msgspec.json.encode(profile))["fallbacks"] == ["b", "c"]
