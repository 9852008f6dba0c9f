"""One member, as the program that embeds the mob sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, is_blank
from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.core.inputs import InputHeader, OperatorSource, PromptInput
from meerkat_mob.core.messages import AssistantMessage, HandlingMode, Message, text_of_message
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import callback_pending
from meerkat_mob.errors import InputEnded, InvalidParams, NoAnswer
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.state import Command, require
from meerkat_mob.mob.status import MemberSnapshot, snapshot
from meerkat_mob.runtime import (
    Abandoned,
    CallbackPending,
    Completed,
    CompletedWithoutResult,
    Deduplicated,
    Outcome,
    RuntimeTerminated,
)


class DeliveryReceipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An input was accepted for a member (MemberDeliveryReceipt)."""

    member_id: str
    session_id: str
    input_id: str
    handling_mode: HandlingMode


class Member:
    """A handle; the facts behind it belong to the mob."""

    def __init__(self, context: MobContext, member_id: str) -> None:
        entry = context.entry(member_id)
        self._context = context
        self.id = entry.member
        self.profile = entry.profile
        self._session_id = entry.session_id

    def __repr__(self) -> str:
        return f"<member {self.id} ({self.profile}) of {self._context.mob_id}>"

    @property
    def session_id(self) -> str:
        """The session the member has now; of one that has gone, the last one it had."""
        entry = self._context.roster.get(self.id)
        if entry is not None:
            self._session_id = entry.session_id
        return self._session_id

    @property
    def toolbox(self) -> Toolbox:
        """Tools for this member alone, to be changed at any time (see ``Toolbox``)."""
        return self._context.member_tools.setdefault(self.id, Toolbox())

    async def send(
        self,
        content: Content,
        *,
        handling_mode: HandlingMode = "queue",
        idempotency_key: str | None = None,
    ) -> DeliveryReceipt:
        """Gives the member something to work on; returns once that is accepted.

        A known ``idempotency_key`` is not accepted twice. Raises ``InvalidTransition`` when the
        mob does not run, ``MemberNotFound`` once the member has gone, ``MemberRestoreFailed``
        when it is broken, ``InvalidParams`` for blank content, ``InboxFull`` at the bound.
        """
        receipt, _ = await self._accept(content, handling_mode, idempotency_key)
        return receipt

    async def ask(self, content: Content, *, timeout: float | None = None) -> str:
        """Like ``send``, but waits until the whole mob is idle and returns the member's answer.

        The answer is its last non-empty text since it was asked. ``timeout`` is in seconds.
        Raises what ``send`` raises, what the member's run failed with, ``WaitTimedOut``, and
        ``NoAnswer`` when it said nothing.
        """
        sessions = self._context.sessions
        before = (await sessions.read(self.session_id)).state.message_count
        receipt, ended = await self._accept(content, "queue", None)
        said = ""
        try:
            async with asyncio.timeout(timeout):
                if ended is not None:
                    said = _text_or_raise(await ended, receipt.input_id)
                await self._context.wait_idle()
        except TimeoutError:
            raise self._context.timed_out(f"an answer of {self.id}", timeout) from None
        if await sessions.has_live_session(self.session_id):
            history = await sessions.read_history(self.session_id, offset=before)
            said = _last_text(history.messages) or said
        if not said:
            raise NoAnswer(member=self.id, why="its run ended without any text; see mob.events()")
        return said

    async def work(self, content: Content) -> str:
        """Like ``ask``, but waits for this run alone, whoever else is at work; may be empty."""
        receipt, ended = await self._accept(content, "queue", None)
        return "" if ended is None else _text_or_raise(await ended, receipt.input_id)

    async def _accept(
        self, content: Content, mode: HandlingMode, key: str | None
    ) -> tuple[DeliveryReceipt, asyncio.Future[Outcome] | None]:
        context = self._context
        require(context.journal.state, Command.SEND)
        session_id = context.entry(self.id).session_id
        if is_blank(content):
            raise InvalidParams(what="the content is blank", path="content", hint="say something")
        header = InputHeader(
            id=context.new_id(),
            timestamp=context.now(),
            source=OperatorSource(),
            idempotency_key=UNSET if key is None else key,
        )
        item = PromptInput(header=header, content=content, handling_mode=mode)
        accept = context.runtime.accept_input_with_completion
        outcome, ended = await accept(session_id, item)
        known = outcome.existing_id if isinstance(outcome, Deduplicated) else outcome.input_id
        receipt = DeliveryReceipt(
            member_id=self.id, session_id=session_id, input_id=known, handling_mode=mode
        )
        return receipt, ended

    async def interrupt(self) -> None:
        """Cancels the run the member is in, if any. The member takes the next one (U-4)."""
        await self._context.runtime.interrupt_current_run(self.session_id)

    async def status(self) -> MemberSnapshot:
        """How the member stands. Never waits for a run."""
        return await snapshot(self._context, self.id)

    def events(self, *, after: int | None = None) -> AsyncGenerator[EventEnvelope, None]:
        """What the runs of the session it has now say, from now or after a number.

        ``Mob.events(member=…)`` goes on when the member begins anew.
        """
        return self._context.sessions.subscribe_session_events(self.session_id, after=after)


def _last_text(messages: Sequence[Message]) -> str:
    said = (text_of_message(m) for m in reversed(messages) if isinstance(m, AssistantMessage))
    return next((text for text in said if text), "")


def _text_or_raise(outcome: Outcome, input_id: str) -> str:
    match outcome:
        case Completed(result=result):
            return result.text
        case CompletedWithoutResult():
            return ""
        case CallbackPending(calls=calls):
            raise callback_pending(calls[0])
        case Abandoned(error=error) if error is not None:
            raise error
        case Abandoned(reason=reason):
            raise InputEnded(input_id=input_id, reason=reason)
        case RuntimeTerminated(reason=reason, waits=waits):
            raise InputEnded(input_id=input_id, reason=reason, waits=waits)
