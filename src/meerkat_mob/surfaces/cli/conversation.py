"""What was said in a session, as a person reads it: who, what, and which tools were used.

It looks like the log of a run. Texts of users, peers and the assistant are whole; the system
prompt, thoughts, tool arguments and results are shortened. Images are told by their kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET
from rich.text import Text

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    Message,
    Reasoning,
    SystemMessage,
    SystemNotice,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    tool_uses,
)
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, LONGEST_ARGS, QUIET, WARN, Palette
from meerkat_mob.surfaces.cli.words import clean, shortened

PEER: Final = re.compile(r"\[COMMS (MESSAGE|REQUEST|RESPONSE) from ([^\]\s]+)[^\]\n]*\]\n?")
"""How a peer's message begins (see ``meerkat_mob.comms.ingress``)."""
EXPECTED_ENDS: Final = frozenset({"end_turn", "tool_use"})
OTHERS: Final = {
    "external_event": "event",
    "flow_step": "flow",
    "continuation": "continuation",
    "ops_progress": "progress",
}
"""Who speaks in a user message that neither a user nor a peer wrote."""


class Conversation:
    """Draws messages of one session, with a colour for each who speaks in it."""

    def __init__(self, state: SessionState, palette: Palette) -> None:
        self._palette = palette
        self._mob = state.labels.get("mob_id", "")
        self._self = state.labels.get("meerkat_id") or state.metadata.comms_name or "assistant"
        palette.colour(self._self)

    def lines(self, messages: Sequence[Message]) -> Iterator[Text]:
        """One styled text for each thing that was said or done, with a gap before each turn."""
        for place, message in enumerate(messages):
            match message:
                case ToolResults(results=results):
                    if not place or not tool_uses(messages[place - 1]):  # else told with the calls
                        yield from map(self._result_alone, results)
                case AssistantMessage() | AssistantFlat():
                    results = self._results(messages, place)
                    yield from self._answer(message, {r.tool_use_id: r for r in results})
                case UserMessage():
                    if place and not isinstance(messages[place - 1], UserMessage):
                        yield Text()
                    yield self._heard(message)
                case SystemMessage(content=content):
                    yield self._quietly("system", content)
                case SystemNotice(kind=kind, body=body):
                    yield self._quietly(f"notice ({kind})", body)

    @staticmethod
    def _results(messages: Sequence[Message], place: int) -> tuple[ToolResult, ...]:
        following = messages[place + 1] if place + 1 < len(messages) else None
        return following.results if isinstance(following, ToolResults) else ()

    # -- who was heard -------------------------------------------------------------------------

    def _heard(self, message: UserMessage) -> Text:
        text, meta = text_of(message.content), message.render_metadata
        kind = "user_prompt" if meta is UNSET else meta.render_class
        found = PEER.match(text) if kind.startswith("peer") else None
        if found is None:
            return self._said(OTHERS.get(kind, "user"), text)
        what, sender = found.groups()
        note = "" if what == "MESSAGE" else f" ({what.lower()})"
        body = text[found.end() :]
        if note:
            return Text.assemble(
                self._palette.name(self._peer(sender)), (f"{note}: {self._short(body)}", QUIET)
            )
        return self._said(self._peer(sender), body)

    def _peer(self, address: str) -> str:
        """A peer of the same mob by its own name."""
        mob, _, rest = address.partition("/")
        return rest.rpartition("/")[2] if rest and mob == self._mob else address

    def _said(self, who: str, text: str) -> Text:
        return Text.assemble(self._palette.name(who), f": {clean(text).strip()}")

    def _quietly(self, who: str, text: str) -> Text:
        return Text(f"{who}: {self._short(text)}", QUIET)

    def _short(self, text: str) -> str:
        return shortened(text, self._palette.signs.more, most=LONGEST_ARGS)

    # -- what was answered ---------------------------------------------------------------------

    def _answer(
        self, message: AssistantMessage | AssistantFlat, results: dict[str, ToolResult]
    ) -> Iterator[Text]:
        if isinstance(message, AssistantFlat):
            if message.content.strip():
                yield self._said(self._self, message.content)
            yield from (self._called(use, results) for use in tool_uses(message))
        else:
            for block in message.blocks:
                match block:
                    case AssistantText(data=data) if data.text.strip():
                        yield self._said(self._self, data.text)
                    case Reasoning(data=data) if data.text.strip():
                        told = f" thinks: {self._short(data.text)}"
                        yield Text.assemble(self._palette.name(self._self), (told, "dim italic"))
                    case ToolUse(data=use):
                        yield self._called(use, results)
                    case _:
                        pass
        if message.stop_reason not in EXPECTED_ENDS:
            told = f" was cut short: {message.stop_reason}"
            yield Text.assemble(self._palette.name(self._self), (told, WARN))

    def _called(self, use: ToolUseData, results: dict[str, ToolResult]) -> Text:
        call = (clean(use.name), ""), (f" {self._short(bytes(use.args).decode())} ", QUIET)
        result, signs = results.get(use.id), self._palette.signs
        if result is None:
            sign, told = (f" {signs.begun} ", WARN), ("no result yet", WARN)
        else:
            sign, told = self._sign(result), self._told(result)
        return Text.assemble(self._palette.name(self._self), sign, *call, told)

    def _result_alone(self, result: ToolResult) -> Text:
        return Text.assemble(self._palette.name(self._self), self._sign(result), self._told(result))

    def _sign(self, result: ToolResult) -> tuple[str, str]:
        signs = self._palette.signs
        return (f" {signs.bad} ", BAD) if result.is_error else (f" {signs.good} ", GOOD)

    def _told(self, result: ToolResult) -> tuple[str, str]:
        text = self._short(text_of(result.content))
        return f"{self._palette.signs.to} {text}", BAD if result.is_error else QUIET
