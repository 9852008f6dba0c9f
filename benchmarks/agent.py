"""What the agent loop costs: a turn with tools late in a history, and the way of each delta.

python -m benchmarks.agent [rounds]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from itertools import count

import msgspec

from benchmarks.figures import Figure, compared, take_turns, tell
from benchmarks.realms import in_memory
from meerkat_mob.core.events import EventEnvelope, TextDelta
from meerkat_mob.core.messages import ToolResults, UserMessage
from meerkat_mob.core.requests import (
    CreateSessionRequest,
    SessionBuildOptions,
    StartTurnRequest,
)
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import LlmRequest, Reply, ScriptedLlm, call, say
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmTextDelta

TOOLS, YOUNG = 8, 10
HISTORIES = (1_000, 10_000)
DELTAS = 10_000
WORDS = tuple(LlmTextDelta(delta="word ") for _ in range(DELTAS))
SAID = (UserMessage(content="A remark of a few words, as a person makes it."),) * 2
GO = StartTurnRequest(prompt="A question of a few words, as a person asks it.")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look."""

    host: str
    lines: int = 10


async def look(place: Place) -> str:
    """A tool that has its answer at once."""
    return place.host


def a_request(name: str) -> CreateSessionRequest:
    """A session with eight tools, in which nothing was said yet."""
    tools = tuple(typed_tool(f"look-{n}", "Reads a log.", Place, look) for n in range(TOOLS))
    options = SessionBuildOptions(session_id=name, external_tools=tools)
    return CreateSessionRequest(model="scripted", initial_turn="defer", build=options)


COST = Usage(input_tokens=10, output_tokens=10)  # told, so that nobody counts the history
ANSWER = say("An answer of a few words, as a member gives it.", usage=COST)


def all_tools() -> Reply:
    """One call of each."""
    reply = say("I look.", usage=COST)
    for number in range(TOOLS):
        reply = reply & call(f"look-{number}", host="web-1")
    return reply


ALL = all_tools()


def answer(request: LlmRequest) -> Reply:
    """All tools at once, and an answer when they have ended."""
    return ANSWER if isinstance(request.messages[-1], ToolResults) else ALL


async def turns_with_tools(rounds: int) -> AsyncGenerator[Figure, None]:
    """Beside the streams that such a turn listens to; then late in a history beside early."""
    service = in_memory(ScriptedLlm(answer))
    numbers = count()

    async def young(length: int = YOUNG) -> str:
        """A session with so many messages."""
        name = (await service.create_session(a_request(f"s-{next(numbers)}"))).session_id
        await service.start_turn(name, msgspec.structs.replace(GO, preface=SAID * (length // 2)))
        return name

    fresh = [await young() for _ in range(rounds + 1)]
    each = iter(fresh)
    asked = LlmRequest(model="scripted", messages=(UserMessage(content="go"),))
    known = LlmRequest(model="scripted", messages=(ToolResults(results=()),))
    llm = ScriptedLlm(answer)

    async def floor() -> None:
        for request in (asked, known):
            async for _ in llm.stream(request):
                pass

    bare, first = await take_turns(rounds, floor, lambda: service.start_turn(next(each), GO))
    yield compared(f"turn with {TOOLS} tools / its streams alone", first, bare, aim=20)
    for length in HISTORIES:
        old, each = await young(length), iter([await young() for _ in range(rounds + 1)])

        async def early(names: Iterator[str] = each) -> None:
            await service.start_turn(next(names), GO)

        async def late(name: str = old) -> None:
            await service.start_turn(name, GO)

        what = f"turn with {TOOLS} tools, {length:,} messages / {YOUNG} messages"
        yield compared(what, *(await take_turns(rounds, early, late))[::-1], aim=1.1)
    await service.aclose()


async def schemas(rounds: int) -> Figure:
    """A tool's schema is made when the tool is, and never again: no turn pays for it."""

    async def floor() -> None:
        for _ in range(TOOLS):
            msgspec.json.schema(Place)

    async def made() -> None:
        a_request("one")

    bare, ours = await take_turns(rounds, floor, made)
    return compared(f"{TOOLS} tools made / as many schemas alone", ours, bare, aim=2)


class Chatter:
    """A model that says very many words."""

    provider = "scripted"

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        del request
        return self._words()

    async def _words(self) -> AsyncGenerator[LlmEvent, None]:
        for word in WORDS:
            yield word
        yield LlmDone(stop_reason="end_turn")

    async def aclose(self) -> None:
        """Nothing is held."""


async def deltas(rounds: int) -> Figure:
    """From the model's stream to one watcher of the session."""
    service = in_memory(Chatter())
    name = (await service.create_session(a_request("one"))).session_id
    heard = 0

    def listen(envelope: EventEnvelope) -> None:
        nonlocal heard
        heard += isinstance(envelope.payload, TextDelta)

    service.watch_session_events(name, listen)

    async def floor() -> None:
        async for _ in Chatter().stream(LlmRequest(model="", messages=())):
            pass

    bare, ours = await take_turns(rounds, floor, lambda: service.start_turn(name, GO))
    await service.aclose()
    if heard != DELTAS * (rounds + 1):
        raise AssertionError("a delta was lost")
    return compared(f"{DELTAS:,} deltas to one watcher / a bare generator", ours, bare, aim=4)


async def all_figures(rounds: int) -> list[Figure]:
    """All of them, one after another."""
    figures = [figure async for figure in turns_with_tools(rounds)]
    return [*figures, await schemas(rounds), await deltas(rounds // 20)]


def main() -> None:
    """Print the ratios."""
    tell(asyncio.run(all_figures(int(sys.argv[1]) if len(sys.argv) > 1 else 400)))


if __name__ == "__main__":
    main()
