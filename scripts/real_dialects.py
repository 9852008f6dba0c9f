"""Each dialect of a llama.cpp server, against a real one: words, forms, many at once, a cancel.

The model is far too small to be clever; what is looked at is how it is asked, and how it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

import httpx2
import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm import HttpLlm, LlmDone, LlmEvent, LlmRequest, LlmTextDelta, LlmUsage
from meerkat_mob.llm.dialect import DialectName

SPOKEN: Final[tuple[DialectName, ...]] = ("chat", "responses", "anthropic")
TOGETHER: Final = 8
CITY: Final[Mapping[str, Json]] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Bern", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
HELD: Final[Mapping[DialectName, Mapping[str, Json]]] = {
    "chat": {},
    "responses": {  # the server knows this word only in its other dialect
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": CITY}}
    },
}
"""Where it holds its model to a form, and what that takes."""


async def try_dialects(address: str, model: str) -> int:
    """All of them, one after another. The exit code is 0 when all went as it should."""
    for dialect in SPOKEN:
        client = HttpLlm(address, dialect=dialect)
        try:
            went = [
                await _streams(client, model),
                await _answers_many(client, model),
                await _is_held_to_a_form(client, model, dialect),
                await _hears_a_cancel(client, model, address),
            ]
        finally:
            await client.aclose()
        print(f"{dialect}: words, {TOGETHER} at once, a form, a cancel: {went}")
        if not all(went):
            return 1
    return 0


def _asking(model: str, what: str, **more: Json) -> LlmRequest:
    params: Mapping[str, Json] = {"temperature": 0.0, **more}
    asked = (UserMessage(content=what),)
    return LlmRequest(model=model, messages=asked, max_tokens=32, provider_params=params)


async def _events(client: HttpLlm, request: LlmRequest) -> list[LlmEvent]:
    async with aclosing(client.stream(request)) as stream:
        return [event async for event in stream]


async def _streams(client: HttpLlm, model: str) -> bool:
    events = await _events(client, _asking(model, "Once upon a time"))
    words = sum(isinstance(event, LlmTextDelta) for event in events)
    told = any(isinstance(event, LlmUsage) for event in events)
    last = events[-1]
    return words > 1 and told and isinstance(last, LlmDone) and last.error is None


async def _answers_many(client: HttpLlm, model: str) -> bool:
    asked = (_events(client, _asking(model, f"Count to {n}")) for n in range(TOGETHER))
    ends = [events[-1] for events in await asyncio.gather(*asked)]
    return all(isinstance(end, LlmDone) and end.error is None for end in ends)


async def _is_held_to_a_form(client: HttpLlm, model: str, dialect: DialectName) -> bool:
    params = HELD.get(dialect)
    if params is None:
        return True
    request = _asking(model, "Name a city as JSON.", **params)
    request = msgspec.structs.replace(request, output=OutputSchema(schema=CITY))
    events = await _events(client, request)
    text = "".join(event.delta for event in events if isinstance(event, LlmTextDelta))
    return msgspec.json.decode(text) in ({"city": "Bern"}, {"city": "Rome"})


async def _hears_a_cancel(client: HttpLlm, model: str, address: str) -> bool:
    """Somebody leaves in the middle of a long answer; soon the server works for nobody."""
    request = _asking(model, "Tell a long story.", ignore_eos=True)
    long = msgspec.structs.replace(request, max_tokens=4000)
    async with aclosing(client.stream(long)) as stream:
        await anext(stream)
    async with httpx2.AsyncClient(trust_env=False) as http:
        for _ in range(100):
            slots = (await http.get(f"{address}/slots")).json()
            if not any(slot["is_processing"] for slot in slots):
                return True
            await asyncio.sleep(0.05)
    return False
