"""One member, as the program that embeds the mob sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, is_blank
from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.core.inputs import InputHeader, OperatorSource, PromptInput
from meerkat_mob.core.messages import AssistantMessage, HandlingMode, text_of_message
from meerkat_mob.errors import InputEnded, InvalidParams, NoAnswer, WaitTimedOut
from meerkat_mob.mob.state import Command, require
from meerkat_mob.runtime import Abandoned, Deduplicated, Outcome, RuntimeTerminated

if TYPE_CHECKING:
    from meerkat_mob.mob.mob import Mob

MemberStatus: TypeAlias = Literal["active", "completed", "unknown"]


class DeliveryReceipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An input was accepted for a member (MemberDeliveryReceipt)."""

    member_id: str
    session_id: str
    input_id: str
    handling_mode: HandlingMode


class MemberSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member as of its last finished run (MobMemberSnapshot). ``busy``: it works or will."""

    status: MemberStatus
    busy: bool
    output_preview: str | None
    tokens_used: int
    is_final: bool
    current_session_id: str | None


class Member:
    """A handle; the facts behind it belong to the mob."""

    def __init__(self, mob: Mob, member_id: str, profile: str, session_id: str) -> None:
        self._mob = mob
        self.id = member_id
        self.profile = profile
        self.session_id = session_id

    def __repr__(self) -> str:
        return f"<member {self.id} ({self.profile}) of {self._mob.id}>"

    async def send(
        self,
        content: Content,
        *,
        handling_mode: HandlingMode = "queue",
        idempotency_key: str | None = None,
    ) -> DeliveryReceipt:
        """Gives the member something to work on; returns once that is accepted.

        A known ``idempotency_key`` is not accepted twice. Raises ``InvalidTransition`` when the
        mob does not run, ``InvalidParams`` for blank content, ``InboxFull`` at the bound.
        """
        receipt, _ = await self._accept(content, handling_mode, idempotency_key)
        return receipt

    async def ask(self, content: Content, *, timeout: float | None = None) -> str:
        """Like ``send``, but waits until the whole mob is idle and returns the member's answer.

        The answer is its last non-empty text since it was asked. ``timeout`` is in seconds. Raises what ``send`` raises, what the member's run failed
        with, ``WaitTimedOut``, and ``NoAnswer`` when it said nothing.
        """
        sessions = self._mob.service.sessions
        before = (await sessions.read(self.session_id)).state.message_count
        receipt, ended = await self._accept(content, "queue", None)
        try:
            async with asyncio.timeout(timeout):
                if ended is not None:
                    _raise_if_lost(await ended, receipt.input_id)
                await self._mob.wait_idle()
        except TimeoutError:
            raise WaitTimedOut(
                what=f"an answer of {self.id}", seconds=timeout or 0, busy=self._mob.busy_members()
            ) from None
        history = await sessions.read_history(self.session_id, offset=before)
        for message in reversed(history.messages):
            if isinstance(message, AssistantMessage) and (text := text_of_message(message)):
                return text
        raise NoAnswer(member=self.id, why="its run ended without any text; see mob.events()")

    async def _accept(
        self, content: Content, mode: HandlingMode, key: str | None
    ) -> tuple[DeliveryReceipt, asyncio.Future[Outcome] | None]:
        require(self._mob.state, Command.SEND)
        if is_blank(content):
            raise InvalidParams(what="the content is blank", path="content", hint="say something")
        header = InputHeader(
            id=self._mob.new_id(),
            timestamp=self._mob.now(),
            source=OperatorSource(),
            idempotency_key=UNSET if key is None else key,
        )
        item = PromptInput(header=header, content=content, handling_mode=mode)
        adapter = self._mob.service.runtime_adapter()
        outcome, ended = await adapter.accept_input_with_completion(self.session_id, item)
        known = outcome.existing_id if isinstance(outcome, Deduplicated) else outcome.input_id
        receipt = DeliveryReceipt(
            member_id=self.id, session_id=self.session_id, input_id=known, handling_mode=mode
        )
        return receipt, ended

    async def interrupt(self) -> None:
        """Cancels the run the member is in, if any. The member takes the next one (U-4)."""
        await self._mob.service.runtime_adapter().interrupt_current_run(self.session_id)

    async def status(self) -> MemberSnapshot:
        """How the member stands. Never waits for a run."""
        return await self._mob.member_status(self.id)

    def events(self, *, after: int | None = None) -> AsyncGenerator[EventEnvelope, None]:
        """What the member's runs say, from now or after a number."""
        return self._mob.service.sessions.subscribe_session_events(self.session_id, after=after)


def _raise_if_lost(outcome: Outcome, input_id: str) -> None:
    match outcome:
        case Abandoned(error=error) if error is not None:
            raise error
        case Abandoned(reason=reason):
            raise InputEnded(input_id=input_id, reason=reason)
        case RuntimeTerminated(reason=reason):
            raise InputEnded(input_id=input_id, reason=reason)
        case _:
            pass
