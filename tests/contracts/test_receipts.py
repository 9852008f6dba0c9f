"""Whatever becomes of a session, each receipt is the digest of what was said (RCP-1).

Random histories are told to every home of the sessions at once. At each receipt the digest is
made anew from all messages; at the end every receipt is verified against the stored records.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, TypeAlias

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from meerkat_mob.core.content import Content, ImageBlock, TextBlock
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.messages import UserMessage, encode_message
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.run_context import News
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import Reply, ScriptedLlm, call, fail, say
from meerkat_mob.sessions import (
    PersistentSessionService,
    RecoveryOverrides,
    SessionService,
    Steered,
)
from meerkat_mob.sessions.receipts import verify_receipts
from meerkat_mob.testing.builders import (
    NEW_YEAR_2030,
    a_persistent_service,
    a_request,
    a_service,
    a_tool_that_echoes,
)
from tests import strategies
from tests.contracts.places import PLACES, Place

ECHO = a_tool_that_echoes()
IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")

# -- what may happen ---------------------------------------------------------------------------


class Say(msgspec.Struct, frozen=True):
    """A turn: a prompt, an image with it, calls with these arguments, and then an answer."""

    prompt: str
    answer: str = "fine"
    image: bool = False
    calls: tuple[JsonObject, ...] = ()
    steered: tuple[str, ...] = ()
    breaks: bool = False


class Note(msgspec.Struct, frozen=True):
    """Context that becomes part of the System message for good: a rewrite."""

    text: str


class GoOn(msgspec.Struct, frozen=True):
    """A run that only goes on from what is pending, if anything is."""


class Fork(msgspec.Struct, frozen=True):
    """The story goes on in a second session with this much of the past, in tenths."""

    tenths: int


class Reopen(msgspec.Struct, frozen=True):
    """A new process finds what is stored."""


Event: TypeAlias = Say | Note | GoOn | Fork | Reopen

texts = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
sayings = st.builds(
    Say,
    prompt=texts,
    answer=texts,
    image=st.booleans(),
    calls=strategies.tuples_of(strategies.json_objects, most=2),
    steered=strategies.tuples_of(texts, most=2),
    breaks=st.sampled_from([False, False, False, True]),
)
events: st.SearchStrategy[Event] = st.one_of(
    sayings,
    sayings,
    st.builds(Note, text=texts),
    st.just(GoOn()),
    st.builds(Fork, tenths=st.integers(0, 10)),
    st.just(Reopen()),
)
stories = st.tuples(st.none() | texts, st.none() | texts, st.lists(events, max_size=6))
"""A system prompt, another one that the first turn brings, and what happens then."""


def replies(event: Say) -> Iterable[Reply]:
    yield from (call("echo", **dict(arguments)) for arguments in event.calls)
    yield fail() if event.breaks else say(event.answer)


# -- where it may happen -----------------------------------------------------------------------

OpenService: TypeAlias = Callable[[ScriptedLlm], AbstractAsyncContextManager[SessionService]]


def in_memory_only() -> OpenService:
    services: list[SessionService] = []

    @asynccontextmanager
    async def open_service(llm: ScriptedLlm) -> AsyncGenerator[SessionService, None]:
        if not services:
            services.append(a_service(llm))
        yield services[0]  # it is never reopened: its sessions would be gone

    return open_service


@contextmanager
def kept_in(place: Place) -> Generator[OpenService, None, None]:
    with place() as open_store:

        @asynccontextmanager
        async def open_service(llm: ScriptedLlm) -> AsyncGenerator[SessionService, None]:
            async with open_store() as store:
                service = await a_persistent_service(llm, store)
                yield service
                await service.aclose()

        yield open_service


# -- the story of one session ------------------------------------------------------------------


class Inbox:
    """Gives a run what is to join it, and keeps the receipts of that."""

    is_cut_off: bool = False
    is_left: bool = False

    def __init__(self, texts: Sequence[str], start: int) -> None:
        messages = tuple(UserMessage(content=text) for text in texts)
        ids = tuple(f"steered-{start}-{n}" for n in range(len(texts)))
        self.waiting = Steered(input_ids=ids, messages=messages) if texts else None
        self.receipts: list[Receipt] = []

    def news(self) -> News | None:
        return None

    def steered(self) -> Steered | None:
        return self.waiting

    def applied(self, steered: Steered, receipt: Receipt) -> None:
        assert steered is self.waiting
        self.waiting = None
        self.receipts.append(receipt)

    def noted(self) -> None: ...

    def closed(self, receipt: Receipt | None) -> None: ...


class Story:
    """One session after the other, and all receipts that each of them was given."""

    def __init__(self, second_prompt: str | None) -> None:
        self.lines: deque[Reply] = deque()
        self.llm = ScriptedLlm(lambda _: self.lines.popleft() if self.lines else say("and so on"))
        self.name, self.runs, self.forks = "s", 0, 0
        self.second_prompt = second_prompt
        self.receipts: dict[str, list[Receipt]] = {"s": []}

    async def happens(self, event: Event, service: SessionService) -> None:
        self.runs += 1
        match event:
            case Say():
                content: Content = event.prompt
                if event.image:
                    content = (TextBlock(text=event.prompt), IMAGE)
                self.lines.extend(replies(event))
                first, self.second_prompt = self.second_prompt, None
                request = StartTurnRequest(prompt=content, system_prompt=first)
                await self._turn(request, service, event.steered)
            case GoOn():
                self.lines.append(say("on and on"))
                await self._turn(StartTurnRequest(execution_kind="resume_pending"), service)
            case Note(text):
                await self._note(text, service)
            case Fork(tenths):
                await self._fork(tenths, service)
            case Reopen():
                pass
        self.lines.clear()

    async def _turn(
        self, request: StartTurnRequest, service: SessionService, steered: Sequence[str] = ()
    ) -> None:
        inbox, run_id = Inbox(steered, self.runs), f"run-{self.runs}"
        given = self.receipts[self.name]
        try:
            output = await service.apply_runtime_turn(
                self.name, run_id, request, "run_start", (f"in-{self.runs}",), inbox=inbox
            )
        except LlmFailed:
            given += inbox.receipts
            return
        given += (*inbox.receipts, output.receipt)
        assert [r.sequence for r in given if r.run_id == run_id] == [
            *range(len(inbox.receipts) + 1)
        ]
        await self._agree(service, *inbox.receipts, output.receipt)

    async def _note(self, text: str, service: SessionService) -> None:
        append = PendingAppend(text=text, accepted_at=NEW_YEAR_2030)
        output = await service.apply_runtime_context_appends(
            self.name, f"run-{self.runs}", (append,), (f"in-{self.runs}",)
        )
        self.receipts[self.name].append(output.receipt)
        await self._agree(service, output.receipt)

    async def _agree(self, service: SessionService, *receipts: Receipt) -> None:
        """Made anew from all that was said, or by then: during a run nothing is rewritten."""
        messages = (await service.read_history(self.name)).messages
        document = await service.export_session(self.name)
        encoded = [encode_message(message) for message in messages]
        assert list(document.history.encoded()) == encoded
        for receipt in receipts:
            array = b"[" + b",".join(encoded[: receipt.message_count]) + b"]"
            assert receipt.conversation_digest == hashlib.sha256(array).hexdigest()
        assert receipts[-1].message_count == len(encoded)

    async def _fork(self, tenths: int, service: SessionService) -> None:
        count = (await service.read(self.name)).state.message_count
        self.forks += 1
        new = f"fork-{self.forks}"
        self.name = await service.fork_session(self.name, at=count * tenths // 10, new_id=new)
        self.receipts[new] = []


Told: TypeAlias = tuple[str | None, str | None, list[Event]]


async def told(open_service: OpenService, story: Told) -> dict[str, list[Receipt]]:
    """All receipts, by session, and by now verified against what is stored."""
    prompt, second_prompt, happenings = story
    teller = Story(second_prompt)
    waiting = deque(happenings)
    request = a_request(defer=True, session_id="s", system_prompt=prompt, tools=(ECHO,))
    async with open_service(teller.llm) as service:
        await service.create_session(request)
    while waiting:
        async with open_service(teller.llm) as service:
            if isinstance(service, PersistentSessionService):
                await service.resume_session(teller.name, RecoveryOverrides(external_tools=(ECHO,)))
            event: Event | None = None
            while waiting and not isinstance(event, Reopen):
                event = waiting.popleft()
                await teller.happens(event, service)
    async with open_service(teller.llm) as service:
        for name, receipts in teller.receipts.items():
            records = await service.read_facts(name)
            checks = list(verify_receipts(records))
            assert [check.difference for check in checks if not check.agrees] == []
            if service.supports_persistent_sessions:
                assert [check.receipt for check in checks] == receipts
        await service.aclose()
    return teller.receipts


LONG: list[Event] = [
    Say("hi", calls=({"b": 1.0, "a": "ü"},), steered=("and this",)),
    Note("mind the gap"),
    Reopen(),
    Say("look", image=True, breaks=True),
    GoOn(),
    Fork(5),
    Note("and the step"),
    Say("bye"),
    GoOn(),
    Reopen(),
    GoOn(),
]


@given(story=stories)
@example(story=(None, None, LONG))
@example(story=("Be brief.", "Be kind.", LONG))
async def test_every_receipt_of_any_history_can_be_made_anew_in_every_home(story: Told) -> None:
    """Digests, counts and sequences are the same whoever keeps the session, or nobody."""
    found = [await told(in_memory_only(), story)]
    for place in PLACES.values():
        with kept_in(place) as open_service:
            found.append(await told(open_service, story))
    assert found == [found[0]] * len(found)


# -- the same on every target ------------------------------------------------------------------

PINNED: Final = [
    ("s", "run-1", 0, 5, "ad37cff1806fb9195fe44e011dd7b50186b32622b70354621aa9860c4547ff9a"),
    ("s", "run-1", 1, 6, "63ec009c52fd27b7e92a6c934de0c1350b7057a2497784e58f83848d56510508"),
    ("s", "run-2", 0, 6, "2faaa16cf1c6623fe32c55d4839fe634a75a90433034a0e3b2717efde4c07341"),
    ("s", "run-5", 0, 8, "2da6bbaadd1f6c91c495999378635997c494de9a5fdcd34fbb8a3d906585e3cb"),
    ("fork-1", "run-7", 0, 4, "2c65f0576c3cef7bfd6cda78b2cfa37db039758c7915f6acb2f6e3b9263c92a2"),
    ("fork-1", "run-8", 0, 6, "6507fa6167d950d3b8532ebb2109d20952f3079c2524d68836b6ac4002913605"),
    ("fork-1", "run-9", 0, 6, "6507fa6167d950d3b8532ebb2109d20952f3079c2524d68836b6ac4002913605"),
    ("fork-1", "run-11", 0, 6, "6507fa6167d950d3b8532ebb2109d20952f3079c2524d68836b6ac4002913605"),
]


async def test_a_long_story_has_the_same_digests_on_every_target() -> None:
    """In the browser and on the host: the values stand here, and this runs on both."""
    receipts = await told(in_memory_only(), ("Be brief.", "Be kind.", LONG))
    assert [
        (name, r.run_id, r.sequence, r.message_count, r.conversation_digest)
        for name, given in receipts.items()
        for r in given
    ] == PINNED
