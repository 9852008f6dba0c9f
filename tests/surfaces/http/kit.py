"""A proxy on loopback, in the test's own loop, before an upstream that a test makes. No tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import httpx2
import msgspec

from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.proxied import decode_fault
from meerkat_mob.surfaces.http.gate import Doors, origins_of
from meerkat_mob.surfaces.http.proxy import Note, open_proxy
from meerkat_mob.surfaces.http.serving import address_of, listen, serve
from meerkat_mob.surfaces.http.upstreams import upstreams_of
from tests.llm.loopback_server import whole

PAGE = "http://localhost:8000"
KEYS = {f"{name}_API_KEY": f"key-of-{name}" for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
BASES: dict[DialectName, str] = {
    "anthropic": "/anthropic",
    "chat": "/openai/v1/chat/completions",
    "gemini": "/gemini",
    "responses": "/openai",
}
OWN_KEYS: dict[DialectName, tuple[str, str]] = {
    "anthropic": ("x-api-key", "key-of-ANTHROPIC"),
    "chat": ("authorization", "Bearer key-of-OPENAI"),
    "gemini": ("x-goog-api-key", "key-of-GEMINI"),
    "responses": ("authorization", "Bearer key-of-OPENAI"),
}
MODELS = whole(200, "application/json", '{"data":[]}', "x-request-id: r-1")


class Proxied(msgspec.Struct):
    """Where a proxy listens, and what it noted."""

    address: str
    notes: list[Note]
    noted: asyncio.Event

    async def note(self) -> Note:
        """The next one; it is written when an answer has ended on both sides."""
        while not self.notes:
            self.noted.clear()
            await self.noted.wait()
        return self.notes.pop(0)


@asynccontextmanager
async def proxying(
    env: Mapping[str, str], *, origins: tuple[str, ...] = (PAGE,)
) -> AsyncGenerator[Proxied, None]:
    """A proxy with this environment until the end of the block."""
    listening = listen("127.0.0.1", 0)
    proxied = Proxied(address_of(listening), [], asyncio.Event())

    def note(one: Note) -> None:
        proxied.notes.append(one)
        proxied.noted.set()

    doors = Doors(origins=origins_of(origins), host="127.0.0.1")
    async with open_proxy(upstreams_of(env), doors, note) as app:
        serving = asyncio.create_task(serve(app, listening))
        try:
            yield proxied
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            listening.close()


def at(upstream: str, **keys: str) -> dict[str, str]:
    """An environment in which one server stands for all providers."""
    urls = {f"{name}_BASE_URL": upstream for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
    return {**KEYS, **urls, **keys}


async def asked(
    url: str, *, method: str = "POST", body: bytes = b"{}", **headers: str
) -> httpx2.Response:
    """One request, by a client that adds nothing of its own that matters."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.request(method, url, content=body, headers=named)


def code_in(answer: httpx2.Response) -> str | None:
    """Which fault of the proxy an answer is, if it is one."""
    fault = decode_fault(answer.text)
    return fault.code if fault else None
