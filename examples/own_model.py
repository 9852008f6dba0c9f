"""A model of your own: anything that turns a request into a stream can answer for a member.

Here it is a counter of words, which needs no network. A client for another server has the same
form: yield text as it comes, then calls, then exactly one `LlmDone`.

    python examples/own_model.py
"""

import asyncio
from collections.abc import AsyncGenerator

from meerkat_mob import open_realm, parse_definition
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm import LlmDone, LlmEvent, LlmRequest, LlmTextDelta, LlmUsage

TEAM = parse_definition("""
[mob]
id = "desk"

[profiles.counter]
model = "word-counter-1"
tools = { comms = true }
""")


class WordCounter:
    """Counts the words it is given. One client may serve many members at a time."""

    provider = "word-counter"

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """Nothing is raised from here but a cancellation: an error goes into `LlmDone`."""
        text = text_of_message(request.messages[-1])
        for word in (f"{len(text.split())} ", "words, ", f"{len(text)} ", "characters"):
            yield LlmTextDelta(delta=word)
        yield LlmUsage(usage=Usage(input_tokens=len(text.split()), output_tokens=4))
        yield LlmDone(stop_reason="end_turn")

    async def aclose(self) -> None:
        """Nothing is held open."""


async def main() -> None:
    """Asks the member that this model answers for."""
    async with open_realm(llm=WordCounter()) as realm:
        mob = await realm.create_mob(TEAM)
        counter = await mob.spawn("counter", "counter-1")
        print(await counter.ask("How long is a piece of string?"))
        print(f"{(await counter.status()).tokens_used} tokens")


if __name__ == "__main__":
    asyncio.run(main())
