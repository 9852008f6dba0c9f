"""An agent: a model, its tools and a transcript, and one run of them after the other.

A run is one ``run`` or ``run_pending`` (spec sessions 4.3). Whatever ends a run, the transcript
stays valid: each call it holds has a result, and exactly one event said how it ended (INV-3,
INV-7). Only calls that somebody else runs stay open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.acting import Hands
from meerkat_mob.agent.asking import Model
from meerkat_mob.agent.budget import Budget
from meerkat_mob.agent.compaction import Compaction
from meerkat_mob.agent.extraction import Extraction
from meerkat_mob.agent.guard import Guard, with_text
from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.agent.run import Run
from meerkat_mob.agent.scope import Catalogue
from meerkat_mob.agent.skills import Skills
from meerkat_mob.agent.spec import AgentSpec
from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.agent.turns import Event
from meerkat_mob.core.content import Content
from meerkat_mob.core.events import Emit, RunCompleted, RunFailed, RunResult, RunStarted
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import (
    AssistantMessage,
    RenderMetadata,
    UserMessage,
    text_of_message,
)
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.run_context import NoSession, RunContext
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    CallbackPending,
    InvalidParams,
    MeerkatError,
    NoPendingBoundary,
    RunCancelled,
)
from meerkat_mob.llm.client import LlmClient


class Agent:
    """A model, its tools and a transcript. One run at a time; the session sees to that."""

    def __init__(
        self,
        spec: AgentSpec,
        *,
        client: LlmClient,
        fallbacks: Sequence[tuple[str, LlmClient]] = (),
        tools: Sequence[Tool] = (),
        toolboxes: Sequence[Toolbox] = (),
        transcript: Transcript,
        emit: Emit,
        clock: Clock,
        context: RunContext | None = None,
        usage: Usage | None = None,
        hooks: Sequence[Hook] = (),
        skills: Sequence[Skill] = (),
    ) -> None:
        self._spec = spec
        self._transcript, self._emit = transcript, emit
        self._context = context or NoSession()
        self._skills = Skills(skills, emit)
        self._catalogue = Catalogue((*tools, *self._skills.tools), toolboxes, self._context)
        self._form = None
        if spec.output is not None:
            self._form = Extraction(spec.output, spec.output_attempts)
        self._guard = Guard(Hooks(hooks, emit=emit, clock=clock), spec.session_id)
        self._model = Model(
            spec,
            client,
            fallbacks=fallbacks,
            transcript=transcript,
            emit=emit,
            usage=usage or Usage(),
        )
        self._compaction = Compaction(
            spec.compaction,
            model=self._model,
            transcript=transcript,
            context=self._context,
            emit=emit,
        )
        self._hands = Hands(
            spec.session_id,
            transcript=transcript,
            context=self._context,
            guard=self._guard,
            emit=emit,
            clock=clock,
        )

    @property
    def usage(self) -> Usage:
        """What all model calls of the session consumed."""
        return self._model.usage

    @usage.setter
    def usage(self, usage: Usage) -> None:
        self._model.usage = usage

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def provider(self) -> str:
        """The provider of its client."""
        return self._model.provider

    def swap(self, client: LlmClient, identity: SessionLlmIdentity) -> None:
        """Later model calls go to this client, as this model. Raises ``InvalidParams``."""
        self._model.swap(client, identity)

    async def aclose(self) -> None:
        """Ends what its hooks still do in the background. Idempotent."""
        await self._guard.close()

    async def run(
        self,
        prompt: Content,
        *,
        preface: Sequence[UserMessage] = (),
        render_metadata: RenderMetadata | UnsetType = UNSET,
        skills: Sequence[str] = (),
    ) -> RunResult:
        """A run that starts from a prompt, and has the texts of ``skills`` before its model.

        Raises ``LlmFailed`` when the model fails for good, ``StoreError`` when what must be kept
        before it goes on cannot be, ``CallbackPending`` when it waits for a result from outside,
        and ``CancelledError`` when cancelled, each with the transcript in order;
        before anything happened, ``InvalidParams`` for text that is not Unicode, and
        ``SkillNotFound``.
        """
        self._skills.refer(skills)
        user = UserMessage(content=prompt, render_metadata=render_metadata)
        try:
            self._transcript.push_batch((*preface, user))
        except UnicodeEncodeError as fault:
            raise InvalidParams(
                what=f"this cannot be kept as text: {fault}", path="prompt", hint="send Unicode"
            ) from None
        return await self._run(prompt)

    async def run_pending(self) -> RunResult:
        """A run that continues from what the transcript waits for, or tells what jobs came to.

        It pushes no message.

        Raises ``NoPendingBoundary``, without any event, when it waits for nothing.
        """
        if not self._transcript.has_pending_boundary and self._context.news() is None:
            raise NoPendingBoundary
        self._skills.refer(())
        return await self._run(UNSET)

    async def _run(self, prompt: Content | UnsetType) -> RunResult:
        session_id, run = self._spec.session_id, self._new_run()
        self._emit(RunStarted(session_id=session_id, prompt=prompt))
        run.note(Event.START)
        try:
            await self._guard.begin("" if prompt is UNSET else prompt)
            run.note(Event.PRIMITIVE_APPLIED)
            result = await self._finished(await run.turns())
            run.note(Event.RESULT_LET_THROUGH)
        except asyncio.CancelledError:
            run.note(Event.CANCELLED)
            self._failed(RunCancelled())
            raise
        except CallbackPending:
            raise  # that it ended was said with the calls
        except MeerkatError as error:
            run.note(Event.FATAL_FAILURE)
            await self._fail(error)
            raise
        except Exception as error:
            run.note(Event.FATAL_FAILURE)
            fault = AgentError(f"the run broke: {type(error).__name__}: {error}; report this")
            await self._fail(fault)
            raise fault from error
        self._emit(RunCompleted(session_id=session_id, result=result.text, usage=result.usage))
        return result

    def _new_run(self) -> Run:
        self._model.begin()
        return Run(
            self._spec.session_id,
            model=self._model,
            hands=self._hands,
            guard=self._guard,
            around=Surroundings(
                self._context,
                self._transcript,
                self._catalogue,
                self._emit,
                skills=self._skills.referred,
            ),
            budget=self._budget(),
            context=self._context,
            transcript=self._transcript,
            emit=self._emit,
            retry=self._spec.retry,
            max_turns=self._spec.max_turns,
            compaction=self._compaction,
            form=self._form,
        )

    async def _finished(self, result: RunResult) -> RunResult:
        """The result that its hooks let through; its text is that of the last answer (4.3)."""
        text = await self._guard.finish(result.text)
        if text == result.text:
            return result
        said = self._transcript.view() if result.text else ()  # else it is not this run's
        for place in range(len(said) - 1, -1, -1):
            message = said[place]
            if isinstance(message, AssistantMessage) and text_of_message(message):
                self._transcript.rewrite(place, place + 1, (with_text(message, text),))
                break
        return msgspec.structs.replace(
            result, text=text, structured_output=UNSET, schema_warnings=UNSET
        )

    async def _fail(self, error: MeerkatError) -> None:
        """Tells its hooks, and then everybody, also when the hooks are interrupted."""
        try:
            await self._guard.failed(str(error))
        finally:
            self._failed(error)

    def _failed(self, error: MeerkatError) -> None:
        self._emit(RunFailed(session_id=self._spec.session_id, error=str(error), code=error.code))

    def _budget(self) -> Budget:
        return Budget(
            self._spec.budget,
            self._spec.session_budget,
            tokens_before=self.usage.total,
            calls_before=self._transcript.tool_call_count + self._context.compacted().tool_calls,
            warn=self._emit,
        )
