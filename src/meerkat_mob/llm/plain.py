"""The plain rule: plays any team offline, without a script, so that its wiring can be seen at work.

A member given a task asks each of its peers once; a member asked answers once; then each ends. An
answer is never answered, so no two members talk for ever. What it says begins with ``[scripted]``:
nobody may take it for a model's words.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Final

import msgspec

from meerkat_mob.llm.client import LlmEvent, LlmRequest
from meerkat_mob.llm.progress import Progress, progress_of
from meerkat_mob.llm.reply import Reply, call, say
from meerkat_mob.llm.voice import Voice

MARK: Final = "[scripted]"
ANSWER: Final = f"{MARK} Answer:"
"""How an answer begins: whoever reads this does not answer it."""

_HEADER: Final = re.compile(
    r"(?:\A|\n\n)\[COMMS (MESSAGE|REQUEST|RESPONSE) from ([^\]\s]+)[^\]\n]*\]\n?"
)
_QUOTED: Final = 200


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of what came in: a task (no sender), or something from a peer."""

    kind: str
    sender: str
    body: str


class _Peer(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class _Peers(msgspec.Struct, frozen=True, kw_only=True):
    peers: tuple[_Peer, ...]


class PlainLlm:
    """Every member of a team, by the plain rule. Keeps nothing: a transcript says all it needs."""

    def __init__(self) -> None:
        self.provider: Final = "scripted"
        self._voice = Voice()

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        return self._voice.speak(request, plain_reply)

    async def aclose(self) -> None:
        """Nothing is held."""


def plain_reply(request: LlmRequest) -> Reply:
    """What the rule says to a request."""
    progress = progress_of(request.messages)
    tools = {tool.name for tool in request.tools}
    said = [part for text in progress.incoming for part in parts_of(text)]
    asked = [p for p in said if p.kind == "MESSAGE" and not p.body.startswith(ANSWER)]
    answers = [p for p in said if p.kind == "MESSAGE" and p.body.startswith(ANSWER)]
    tasks = [p.body for p in said if p.kind == "TASK"]
    if not (asked or tasks):
        return _heard(answers)
    if "send_message" not in tools:
        return say(f"{MARK} I have read this, and have no tool to write to anybody.")
    if progress.steps == 0:
        first = [_answer(part) for part in asked]
        if tasks and "peers" in tools:
            first.append(call("peers"))
        return _together(first) if first else say(f"{MARK} I cannot ask who my peers are.")
    if tasks and progress.steps == 1:
        peers = _peers(progress)
        return (
            _together(call("send_message", to=name, body=_ask(tasks)) for name in peers)
            if peers
            else say(f"{MARK} I have nobody to pass this on to: {_quoted(tasks[-1])}")
        )
    return say(_closing(progress, "passed this on to" if tasks else "answered"))


def parts_of(text: str) -> list[Said]:
    """The messages inside one user message: one header and body after another, or one task."""
    found = list(_HEADER.finditer(text))
    if not found or found[0].start() != 0:
        notice = text.startswith("[SYSTEM NOTICE")
        return [] if notice or not text.strip() else [Said(kind="TASK", sender="", body=text)]
    ends = [*(header.start() for header in found[1:]), len(text)]
    return [
        Said(kind=header[1], sender=header[2], body=text[header.end() : end].strip())
        for header, end in zip(found, ends, strict=True)
    ]


def _ask(tasks: Sequence[str]) -> str:
    return f"{MARK} Please look at this: {_quoted(tasks[-1])}"


def _answer(part: Said) -> Reply:
    asked = _quoted(part.body.removeprefix(MARK).strip())
    return call("send_message", to=part.sender, body=f'{ANSWER} I have read "{asked}"')


def _heard(answers: Sequence[Said]) -> Reply:
    if not answers:
        return say(f"{MARK} Noted.")
    told = "; ".join(
        f"{p.sender.rpartition('/')[2]}: {p.body.removeprefix(ANSWER).strip()}" for p in answers
    )
    return say(f"{MARK} I have heard from {len(answers)}. {told}")


def _together(replies: Iterable[Reply]) -> Reply:
    joined = Reply()
    for reply in replies:
        joined = joined & reply
    return joined


def _peers(progress: Progress) -> tuple[str, ...]:
    for done in progress.called:
        if done.tool == "peers" and not done.is_error:
            try:
                return tuple(p.name for p in msgspec.json.decode(done.result, type=_Peers).peers)
            except msgspec.DecodeError:
                return ()
    return ()


def _closing(progress: Progress, did: str) -> str:
    sent = [done for done in progress.called if done.tool == "send_message"]
    refused = [_quoted(done.result) for done in sent if done.is_error]
    told = f"{MARK} I have {did} {len(sent) - len(refused)}."
    return f"{told} Not delivered: {'; '.join(refused)}" if refused else told


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 3]}..."
