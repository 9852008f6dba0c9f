"""A create request becomes an agent. Nothing is started here."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from meerkat_mob.agent.budget import UNLIMITED
from meerkat_mob.agent.loop import Agent
from meerkat_mob.agent.spec import MAX_TURNS, AgentSpec
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.events import Emit
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.metadata import SessionLlmIdentity, by_name
from meerkat_mob.core.provider_names import infer_provider
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.strict import checked
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.catalogue import Catalogue, known
from meerkat_mob.llm.client import LlmClient

ClientFor = Callable[[SessionLlmIdentity], LlmClient]
"""Which client answers for a model. Raises ``LlmFailed`` when none can."""


class AgentBuilder:
    """Builds agents over the clients it was given. ``models`` is what is known of theirs."""

    def __init__(
        self, *, client_for: ClientFor, clock: Clock, models: Catalogue | None = None
    ) -> None:
        self._client_for, self._clock = client_for, clock
        self._models = models or known()

    def __call__(
        self,
        request: CreateSessionRequest,
        *,
        session_id: str,
        transcript: Transcript,
        emit: Emit,
        context: RunContext | None = None,
    ) -> Agent:
        """The agent of a session, which answers as ``context`` what the agent asks it in a run.

        Raises ``LlmFailed`` (no client for the model), ``InvalidParams`` (two tools of one
        name) and ``InvalidOutputSchema``, before anything exists.
        """
        options = request.build
        spec = AgentSpec(
            session_id=session_id,
            model=request.model,
            max_tokens=request.max_tokens,
            max_turns=MAX_TURNS if options.max_turns is UNSET else options.max_turns,
            provider_params={} if options.provider_params is UNSET else options.provider_params,
            call_timeout_ms=_call_timeout(options),
            budget=UNLIMITED if options.budget_limits is UNSET else options.budget_limits,
            session_budget=_session_budget(options),
            speaker=options.comms_name or "",
            compaction=_compaction(options),
            output=None if options.output_schema is UNSET else options.output_schema,
            output_attempts=_attempts(options),
            window_of=self._models.window_of,
        )
        return Agent(
            spec,
            client=self._client_for(_identity(request)),
            fallbacks=[(name, self._client_for(by_name(name))) for name in options.fallbacks or ()],
            tools=options.external_tools,
            toolboxes=options.toolboxes,
            transcript=transcript,
            emit=emit,
            clock=self._clock,
            context=context,
            hooks=options.hooks,
            skills=options.skills,
        )


def _identity(request: CreateSessionRequest) -> SessionLlmIdentity:
    model, options = request.model, request.build
    return SessionLlmIdentity(
        model=model,
        provider=infer_provider(model) if options.provider is UNSET else options.provider,
        self_hosted_server_id=options.self_hosted_server_id,
    )


def _compaction(options: SessionBuildOptions) -> CompactionPolicy:
    given = options.compaction
    return CompactionPolicy() if given is UNSET else checked(given, path="compaction")


def _attempts(options: SessionBuildOptions) -> int:
    given = options.structured_output_retries
    if given is not UNSET and given < 0:
        raise InvalidParams(
            what=f"{given} attempts cannot be", path="structured_output_retries", hint="0 is one"
        )
    return 2 if given is UNSET else given


def _call_timeout(options: SessionBuildOptions) -> int | None:
    given = options.call_timeout_override
    return None if given is UNSET or given == "disabled" else given


def _session_budget(options: SessionBuildOptions) -> BudgetLimits:
    limits = options.session_budget
    if limits is UNSET:
        return UNLIMITED
    if limits.max_duration is not UNSET:
        raise InvalidParams(
            what="a session has no duration", path="session_budget", hint="limit its runs instead"
        )
    return limits
