"""What a provider does in its own way, as data: where it is asked, how, and how it answers.

A dialect is a row of ``dialects.DIALECTS`` and two functions without I/O; one client speaks all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import AssistantBlock
from meerkat_mob.llm.client import LlmEvent, LlmRequest
from meerkat_mob.llm.failures import Server

DialectName: TypeAlias = Literal["chat", "responses", "anthropic", "gemini"]
"""OpenAI's chat completions (which most servers speak), its Responses, and those of the others."""


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """In the place of the end: the server goes on when it is asked with what it has said so far.

    ``blocks`` are that, and ``params`` what the next request tells besides.
    """

    blocks: tuple[AssistantBlock, ...]
    params: Mapping[str, Json] = {}


class Decoder(Protocol):
    """Takes what a server streams in one answer, event by event, and gives our events.

    Feed it until ``ended``, or until the bytes end; then ``finish`` gives the rest and the end.
    """

    @property
    def ended(self) -> bool:
        """Whether the server said that nothing follows."""
        ...

    @property
    def answered(self) -> bool:
        """Whether an answer has come to its end, said or not."""
        ...

    def feed(self, data: str) -> Iterator[LlmEvent]:
        """The events of one piece. Raises ``LlmFailed`` for what is none, or reports an error."""
        ...

    def finish(self) -> Iterator[LlmEvent | Paused]:
        """What was still open, and the one end. Raises ``LlmFailed`` when the stream had none."""
        ...


class NewDecoder(Protocol):
    """Makes a decoder. ``salt`` goes into the ids that it has to mint."""

    def __call__(self, server: Server, *, salt: str) -> Decoder:
        """For one answer."""
        ...


def no_headers(_: LlmRequest) -> Mapping[str, str]:
    """Those of every call are enough."""
    return {}


def all_said(_: LlmRequest) -> Iterable[str]:
    """Nobody knows of anything that is lost."""
    return ()


class Translation(msgspec.Struct, frozen=True):
    """A request's body, what reads the answer, and headers of this call alone. No I/O.

    ``unsaid`` tells what of the form of the answer is lost on the way (``LlmDone``).
    """

    body: Callable[[LlmRequest], bytes]
    decoder: NewDecoder
    headers: Callable[[LlmRequest], Mapping[str, str]] = no_headers
    unsaid: Callable[[LlmRequest], Iterable[str]] = all_said


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of server is spoken to.

    ``endpoint`` is the path and the query that follow a base URL, ``{model}`` the model's name in
    it; ``listing`` is where its models are told. ``version`` is the path of a base URL that has
    none. ``headers`` let a client in, with the key of the server. ``translation`` is what is said
    and heard; it loads when a client is made, for a page brings it only then.
    """

    name: DialectName
    speaks: str
    endpoint: str
    listing: str
    version: str = ""
    headers: Callable[[Server], Mapping[str, str]]
    translation: Callable[[], Translation]
