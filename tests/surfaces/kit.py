"""A dispatcher or a page's bridge, and what it says without being asked. No tests."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, TypeAlias
from zipfile import ZipFile

import msgspec

from meerkat_mob.llm import LlmClient, ScriptedLlm
from meerkat_mob.mob import Realm, open_realm
from meerkat_mob.mob.definition import MobDefinition, encode_definition
from meerkat_mob.surfaces.rpc import Dispatcher, Notification
from meerkat_mob.surfaces.worker import Bridge

Plain: TypeAlias = Any
"""JSON as a program at the other end sees it: it knows its shape, and no checker does."""


class Wire:
    """Calls as JSON, and their results as JSON: what a program at the other end sees."""

    def __init__(self, realm: Realm) -> None:
        self.heard: list[tuple[str, Plain]] = []
        self.realm = realm
        self.dispatcher = Dispatcher(realm, self._notify)

    async def _notify(self, told: Notification) -> None:
        self.heard.append((told.method, plain(told.params)))

    async def call(self, method: str, /, **params: object) -> Plain:
        return plain(await self.dispatcher.dispatch(method, params))

    async def create(self, definition: MobDefinition) -> Plain:
        document: Plain = msgspec.json.decode(encode_definition(definition))
        return await self.call("mob/create", definition=document)


def plain(value: object) -> Plain:
    """A struct as it looks on a wire."""
    return msgspec.json.decode(msgspec.json.encode(value))


@asynccontextmanager
async def wire(llm: LlmClient | None = None) -> AsyncGenerator[Wire, None]:
    async with open_realm(llm=llm or ScriptedLlm(lambda _: "noted"), env={}) as realm:
        opened = Wire(realm)
        try:
            yield opened
        finally:
            await opened.dispatcher.aclose()


class Tab:
    """A page, without its looks."""

    def __init__(self) -> None:
        self.posted: asyncio.Queue[Plain] = asyncio.Queue()
        self.http_loads = 0
        self.bridge = Bridge(lambda text: self.posted.put_nowait(json.loads(text)), load_http=self)
        self.events: list[Plain] = []
        self.other: list[Plain] = []
        self._last = 0
        self._replies: dict[int, Plain] = {}

    async def __call__(self) -> None:
        self.http_loads += 1

    def ask(self, method: str, /, **params: object) -> int:
        """Posts a request and returns its id."""
        self._last += 1
        self.bridge.receive(json.dumps({"id": self._last, "method": method, "params": params}))
        return self._last

    async def reply(self, number: int) -> Plain:
        """The whole reply to a request, whatever comes before it."""
        while number not in self._replies:
            await self.next()
        return self._replies.pop(number)

    async def next(self) -> Plain:
        """The next message, kept where it belongs."""
        message = await self.posted.get()
        match message:
            case {"id": int(number)}:
                self._replies[number] = message
            case {"method": "mob/stream_event", "params": {"event": event}}:
                self.events.append(event)
            case _:
                self.other.append(message)
        return message

    async def call(self, method: str, /, **params: object) -> Plain:
        """The result of a request. Fails the test when it is an error."""
        reply = await self.reply(self.ask(method, **params))
        assert "result" in reply, reply
        return reply["result"]

    async def refusal(self, method: str, /, **params: object) -> Plain:
        """The error of a request. Fails the test when there is none."""
        reply = await self.reply(self.ask(method, **params))
        assert "error" in reply, reply
        return reply["error"]

    async def load(self, name: str, content: bytes) -> Plain:
        return await self.call("team/load", name=name, data=b64(content))


@asynccontextmanager
async def a_tab() -> AsyncGenerator[Tab, None]:
    tab = Tab()
    try:
        yield tab
    finally:
        await tab.bridge.aclose()


def b64(content: bytes) -> str:
    return b64encode(content).decode()


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """An archive in memory."""
    into = BytesIO()
    with ZipFile(into, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return into.getvalue()


PAIR = """
[mob]
id = "pair"
orchestrator = "lead"

[profiles.lead]
model = "scripted"
tools = { comms = true, mob_tasks = true }

[profiles.worker]
model = "scripted"
peer_description = "Does the work"
tools = { comms = true }

[wiring]
auto_wire_orchestrator = true
"""

SCRIPT = """
[[line]]
profile = "lead"
when = "begin"
step = [
  { say = "On it.", call = [{ tool = "mob_task_create", args = { subject = "The work" } }] },
  { call = [{ tool = "send_message", args = { to = "worker", body = "Please work." } }] },
  { say = "I wait." },
]

[[line]]
profile = "worker"
when = "Please work"
step = [
  { call = [{ tool = "send_message", args = { to = "lead", body = "Done." } }] },
  { say = "That was easy." },
]

[[line]]
profile = "lead"
when = "Done"
say = "The work is done."
"""

PACK = {
    "definition.toml": PAIR,
    "manifest.toml": '[mobpack]\nname = "pair"\nversion = "1"\ndescription = "Two at work"\n',
    "performance.toml": SCRIPT,
}
