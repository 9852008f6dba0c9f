"""Records the calls of a model onto a cassette, and plays them without it.

A replay is strict, as ``ScriptedLlm`` is: a request that was not recorded is an error that shows
what differs, and a recording that was never asked for is a complaint at the end. What looks like a
key never gets onto a cassette.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from itertools import zip_longest
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.blobs import kept_form
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Message, encode_stored
from meerkat_mob.errors import CassetteMiss, ScriptError
from meerkat_mob.llm.cassette import Cassette, Histories, Take, digest_of
from meerkat_mob.llm.client import LlmClient, LlmDone, LlmEvent, LlmRequest
from meerkat_mob.llm.spoken import DONE, Spoken, event_of, spoken_of
from meerkat_mob.llm.strictness import Strict

_WHOLE: Final = 160
_BEGINNING: Final = 120
"""An imprint is the JSON itself up to ``_WHOLE`` bytes; else this much of it, and a hash."""
_HASH: Final = 32
"""Hex digits of that hash: nobody forges here, it only must not meet another by chance."""
_SECRET: Final = re.compile(
    "auth|bearer|cookie|credential|header|jwt|key|passphrase|passwd|password|pwd|secret|signature|"
    "token"
)
_TOLD: Final = 3
"""How many of the names that differ, or of the calls that are left, an error tells."""

Setting: TypeAlias = Mapping[str, str]
Difference: TypeAlias = tuple[str, str | None, str | None]
"""A place, and what is there as recorded and as asked."""

_json: Final = msgspec.json.Encoder(order="sorted")


class Recorder:
    """A client in front of another one: whatever is asked and answered is noted.

    A call that its caller stops is noted as cut. Each call looks at every message of its history
    once and encodes the new ones only; messages are kept in memory as long as the recorder is.
    """

    def __init__(self, client: LlmClient) -> None:
        self._client = client
        self._imprints = _Imprints()
        self._histories = Histories()
        self._settings: dict[bytes, tuple[int, Setting]] = {}
        self._takes: list[Take | None] = []

    @property
    def provider(self) -> str:
        """That of the client behind it."""
        return self._client.provider

    @property
    def cassette(self) -> Cassette:
        """What was recorded so far. Calls that still go on are not on it."""
        return Cassette(
            provider=self.provider,
            messages=tuple(self._histories.messages),
            settings=tuple(setting for _, setting in self._settings.values()),
            takes=tuple(take for take in self._takes if take is not None),
        )

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        asked, number = self._asked(request), len(self._takes)
        self._takes.append(None)  # takes keep the order in which calls began
        said: list[Spoken] = []
        cut = False
        try:
            async with aclosing(self._client.stream(request)) as events:
                async for event in events:
                    said.append(spoken_of(event))
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            cut = not said or said[-1][0] != DONE
            raise
        finally:
            self._takes[number] = msgspec.structs.replace(asked, events=tuple(said), cut=cut)

    def _asked(self, request: LlmRequest) -> Take:
        """A take of the request, of which nothing was heard yet."""
        last: int | None = None
        for message in request.messages:
            last = self._histories.place(last, self._imprints.of(message))
        setting = setting_of(request)
        place, _ = self._settings.setdefault(_json.encode(setting), (len(self._settings), setting))
        digest = self._histories.digest(setting, last)
        return Take(digest=digest, setting=place, last=last, events=())

    async def aclose(self) -> None:
        """Closes the client behind it."""
        await self._client.aclose()


class Replay(Strict):
    """Answers as the cassette has it, offline: each request by what it is.

    The same request gets its recorded answers in their order. Nothing waits as the model did, but
    an answer that was cut is silent after its last word, until it is cancelled again. As a context
    manager it ends with ``assert_spent``.
    """

    def __init__(self, cassette: Cassette) -> None:
        self.provider: Final = cassette.provider
        self._cassette = cassette
        self._histories = Histories(cassette.messages)
        self._imprints = _Imprints()
        self._left: defaultdict[str, deque[Take]] = defaultdict(deque)
        for take in cassette.takes:
            self._left[take.digest].append(take)
        self._missed: list[str] = []

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        try:
            take = self._next(request)
        except CassetteMiss as miss:
            yield LlmDone(error=miss)
            return
        await asyncio.sleep(0)  # lets others go on, as a real call does
        for spoken in take.events:
            yield event_of(spoken)
        if take.cut:
            await asyncio.get_running_loop().create_future()

    def _next(self, request: LlmRequest) -> Take:
        history = [self._imprints.of(message) for message in request.messages]
        setting = setting_of(request)
        left = self._left.get(digest_of(setting, history))
        if left:
            return left.popleft()
        miss = self._miss(request.speaker or "the agent", setting, history)
        self._missed.append(miss.detail)
        raise miss

    def _miss(self, who: str, setting: Setting, history: Sequence[str]) -> CassetteMiss:
        """What to say of a request without a recording: where it leaves the nearest one."""
        if not self._cassette.takes:
            return CassetteMiss(detail=f"{who} asked, and the cassette has no recording at all")
        found = [self._compared(take, setting, history) for take in self._cassette.takes]
        nearest = min(found, key=lambda compared: compared.distance).differences
        if not nearest:
            times = sum(not compared.differences for compared in found)
            return CassetteMiss(
                detail=f"{who} asked once more what was recorded {times}x: {_end(history)}"
            )
        (place, recorded, asked), *others = nearest
        also = f" (also different: {_some([name for name, _, _ in others])})" if others else ""
        return CassetteMiss(
            detail=f"no recording of this call of {who}. {place} differs from the nearest one: "
            f"recorded {recorded or 'nothing'}, asked {asked or 'nothing'}{also}",
            place=place,
            recorded=recorded,
            asked=asked,
        )

    def _compared(self, take: Take, setting: Setting, history: Sequence[str]) -> _Compared:
        recorded, theirs = self._histories.way(take.last), self._cassette.settings[take.setting]
        pairs = list(zip_longest(recorded, history))
        shared = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        found: list[Difference] = [(f"messages[{shared}]", *pair) for pair in pairs[shared:][:1]]
        found += [
            (name, theirs.get(name), setting.get(name))
            for name in sorted(theirs.keys() | setting.keys())
            if theirs.get(name) != setting.get(name)
        ]
        of_another = theirs.get("speaker") != setting["speaker"]
        lengths = abs(len(recorded) - len(history))
        return _Compared(differences=found, distance=(of_another, -shared, lengths, len(found)))

    async def aclose(self) -> None:
        """Nothing is held."""

    def assert_spent(self) -> None:
        """Raises ``ScriptError`` when a recording was never asked for, or a call found none."""
        left = [self._told(take) for takes in self._left.values() for take in takes]
        if left:
            raise ScriptError(
                detail=f"recordings never asked for: {_some(left, '; ')}",
                hint="see why the run has fewer calls, or record it again",
            )
        if self._missed:
            raise ScriptError(
                detail=f"calls without a recording: {_some(self._missed, '; ')}",
                hint="see why they were made, or record the run again",
            )

    def _told(self, take: Take) -> str:
        speaker = self._cassette.settings[take.setting].get("speaker", "").strip('"')
        return f"{speaker or 'the agent'} asking {_end(self._histories.way(take.last))}"


class _Compared(msgspec.Struct, frozen=True, kw_only=True):
    """How a recorded request differs from one that was asked: the first message, then the rest."""

    differences: list[Difference]
    distance: tuple[bool, int, int, int]
    """The smaller, the nearer: the same speaker, more messages in common, no more than those."""


# -- what a request is known by ----------------------------------------------------------------


class _Imprints:
    """The imprints of messages, each made once. It holds them, so that their ids stay theirs."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Message, str]] = {}

    def of(self, message: Message) -> str:
        """That of its stored bytes, in which an image is its blob's id."""
        known = self._known.get(id(message))
        if known is None:
            known = message, _imprint(encode_stored(kept_form(message)[0]))
            self._known[id(message)] = known
        return known[1]


def setting_of(request: LlmRequest) -> dict[str, str]:
    """The imprints of all that a request has beside its messages, by name."""
    of: dict[str, Json] = {
        "model": request.model,
        "speaker": request.speaker,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "system_context": request.system_context,
        "tools": [tool.name for tool in request.tools],
    }
    if request.output is not None:
        of["output"] = msgspec.to_builtins(request.output)
    for tool in request.tools:
        of[f"tools.{tool.name}"] = {"description": tool.description, "schema": tool.input_schema}
    for name, value in request.provider_params.items():
        if not _is_secret(name, value):
            of[f"provider_params.{name}"] = _without_secrets(value)
    return {name: _imprint(_json.encode(value)) for name, value in of.items()}


def _imprint(raw: bytes) -> str:
    """What JSON is known by. That of a long one is no JSON, so it is never that of a short one."""
    if len(raw) <= _WHOLE:
        return raw.decode()
    beginning = raw[:_BEGINNING].decode(errors="ignore")
    return f"{beginning}... {len(raw)} bytes, {hashlib.sha256(raw).hexdigest()[:_HASH]}"


def _without_secrets(value: Json) -> Json:
    if isinstance(value, Mapping):
        kept = ((k, v) for k, v in value.items() if not _is_secret(k, v))
        return {name: _without_secrets(inner) for name, inner in kept}
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return value


def _is_secret(name: str, value: Json) -> bool:
    """By its name, wherever that has one of the words; counts of tokens are none."""
    plain = "".join(filter(str.isalnum, name.casefold()))
    if plain.endswith("tokens") and isinstance(value, int):
        return False
    return _SECRET.search(plain) is not None


# -- words of errors ---------------------------------------------------------------------------


def _end(history: Sequence[str]) -> str:
    return history[-1][:_BEGINNING] if history else "nothing"


def _some(told: Sequence[str], between: str = ", ") -> str:
    more = len(told) - _TOLD
    return between.join(told[:_TOLD]) + (f"{between}and {more} more" if more > 0 else "")
