"""What can go wrong with anything but mobs: the base of the tree, and its branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol


class Finding(Protocol):
    """What a diagnostic shows of itself here (the struct lives with the definition)."""

    @property
    def code(self) -> str:
        """The stable word for it."""
        ...

    @property
    def message(self) -> str:
        """What is wrong, for people."""
        ...

    @property
    def location(self) -> str | None:
        """Where, if it has a place."""
        ...


class MeerkatError(Exception):
    """The root of the tree. Catch it to catch everything raised by design."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    session_id: str | None = None
    """The session it happened in, where one is known."""

    def facts(self) -> Mapping[str, object]:
        """The keyword facts of this error, for logs and wires."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


class InvalidParams(MeerkatError):
    """A call was given something it does not take; ``path`` is the place of the fault."""

    code = "INVALID_PARAMS"

    def __init__(self, *, what: str, path: str = "", hint: str = "") -> None:
        place = f"{path}: " if path else ""
        super().__init__(f"{place}{what}" + (f"; {hint}" if hint else ""))
        self.what, self.path, self.hint = what, path, hint


class MethodNotFound(MeerkatError):
    """A surface has no call of that name; ``nearest`` is the one that was most likely meant."""

    code = "METHOD_NOT_FOUND"

    def __init__(self, *, method: str, nearest: str | None) -> None:
        hint = f"did you mean {nearest!r}?" if nearest else "'initialize' lists those there are"
        super().__init__(f"no method {method!r}; {hint}")
        self.method, self.nearest = method, nearest


class DefinitionInvalid(MeerkatError):
    """A definition has at least one error. ``diagnostics`` holds every finding."""

    code = "DEFINITION_INVALID"

    def __init__(self, *, diagnostics: Sequence[Finding], source: str = "") -> None:
        told = "; ".join(
            f"{d.location}: {d.code}: {d.message}" if d.location else f"{d.code}: {d.message}"
            for d in diagnostics
        )
        super().__init__(f"{source + ': ' if source else ''}{told}")
        self.diagnostics, self.source = tuple(diagnostics), source


class DefinitionUnreadable(MeerkatError):
    """A definition or pack could not be read: absent, not a file, not UTF-8."""

    code = "DEFINITION_UNREADABLE"

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"cannot read {path}: {why}; check the path")
        self.path, self.why = path, why


class CassetteUnreadable(MeerkatError):
    """Bytes are no cassette that this version can read; ``line`` is where, counted from 1."""

    code = "CASSETTE_UNREADABLE"

    def __init__(self, *, source: str, line: int, why: str, hint: str = "record it again") -> None:
        super().__init__(f"{source}, line {line}: {why}; {hint}")
        self.source, self.line, self.why, self.hint = source, line, why, hint


class CapabilityUnavailable(MeerkatError):
    """What was asked for is not available here; names what is missing and the way out."""

    code = "CAPABILITY_UNAVAILABLE"

    def __init__(self, *, capability: str, why: str, instead: str = "") -> None:
        super().__init__(
            f"{capability} is not available: {why}" + (f"; {instead}" if instead else "")
        )
        self.capability, self.why, self.instead = capability, why, instead


class StoreError(MeerkatError):
    """The store could not keep or give back a fact."""

    code = "SESSION_STORE_ERROR"


class StaleRevision(StoreError):
    """A commit was made against an old revision. Nothing was written."""

    code = "STALE_REVISION"

    def __init__(self, *, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{stream} is at revision {actual}, not {expected}: read what is new, then retry"
        )
        self.stream, self.expected, self.actual = stream, expected, actual


class DuplicateKey(StoreError):
    """A unique key is taken. Nothing was written; ``stream`` and ``seq`` name the holder."""

    code = "DUPLICATE_KEY"

    def __init__(self, *, key: str, stream: str, seq: int) -> None:
        super().__init__(f"key {key!r} belongs to record {seq} of {stream}: use another key")
        self.key, self.stream, self.seq = key, stream, seq


class StoreCorrupt(StoreError):
    """A record, a head or a blob is not what was committed. Other streams stay readable.

    ``seq`` is the damaged record, 0 when it is not one record. A blob's ``stream`` is its id.
    """

    code = "STORE_CORRUPT"

    def __init__(self, *, stream: str, seq: int, why: str) -> None:
        place = f"record {seq} of {stream}" if seq else stream or "the realm's file"
        super().__init__(
            f"{place} is damaged: {why}; "
            "records before it and other streams can be read; restore the rest from a copy"
        )
        self.stream, self.seq, self.why = stream, seq, why


class StoreFailed(StoreError):
    """The file could not be written or read. Nothing of the commit was kept."""

    code = "STORE_FAILED"

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}; see to the disk (room, permissions), then try again")
        self.path, self.why = path, why


class StoreClosed(StoreError):
    """The store was closed before. Nothing was written."""

    code = "STORE_CLOSED"

    def __init__(self, *, path: str) -> None:
        super().__init__(f"the store at {path} is closed: open it again")
        self.path = path


class RealmUnreadable(StoreError):
    """What is at the path is not a realm that this version can open. Nothing was changed."""

    code = "REALM_UNREADABLE"

    def __init__(self, *, path: str, why: str, hint: str = "check the path") -> None:
        super().__init__(f"cannot open the realm at {path}: {why}; {hint}")
        self.path, self.why, self.hint = path, why, hint


class RealmDamaged(StoreError):
    """The realm's files are damaged where opening them for writing would lose facts for good."""

    code = "REALM_DAMAGED"

    def __init__(self, *, path: str, found: str) -> None:
        super().__init__(
            f"the realm at {path} is damaged: {found}; nothing was changed: copy the folder, "
            "look at it with verify or read-only, then restore it or give up what is damaged"
        )
        self.path, self.found = path, found


class RealmLocked(StoreError):
    """Another process holds the realm; ``holder`` names it."""

    code = "REALM_LOCKED"

    def __init__(self, *, path: str, holder: str) -> None:
        super().__init__(
            f"the realm at {path} is held by {holder}: end that process, or open it read-only"
        )
        self.path, self.holder = path, holder


class RealmFenced(StoreError):
    """Another process took the realm over while this one did not answer. Nothing was written."""

    code = "REALM_FENCED"

    def __init__(self, *, path: str, holder: str) -> None:
        super().__init__(
            f"the realm at {path} was taken over by {holder}: close it here, and open it again "
            "when it is free"
        )
        self.path, self.holder = path, holder


class SessionError(MeerkatError):
    """Something about one session; ``session_id`` says which."""

    code = "SESSION_ERROR"

    def __init__(self, message: str, *, session_id: str | None = None) -> None:
        super().__init__(message)
        self.session_id = session_id


class SessionNotFound(SessionError):
    """No such session (it may have been ephemeral), or it is archived.

    Who looks from outside sees archived ones too, and gives the ``nearest`` instead.
    """

    code = "SESSION_NOT_FOUND"

    def __init__(self, *, session_id: str, nearest: Sequence[str] | None = None) -> None:
        why = "it never existed, was archived, or was only in memory"
        if nearest is not None:
            why = f"did you mean {' or '.join(nearest)}?" if nearest else "list those there are"
        super().__init__(f"no session {session_id}: {why}", session_id=session_id)
        self.nearest = tuple(nearest or ())


class SessionBusy(SessionError):
    """A run is admitted, running or completing. There is no implicit queue (SVC-2)."""

    code = "SESSION_BUSY"

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            f"session {session_id} already has a run: wait for its end, or interrupt it",
            session_id=session_id,
        )


class SessionNotRunning(SessionError):
    """Interrupt found no running turn (SVC-3)."""

    code = "SESSION_NOT_RUNNING"

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            f"session {session_id} has no run to interrupt: nothing needs doing",
            session_id=session_id,
        )


class PersistenceDisabled(SessionError):
    """The service keeps sessions in memory only."""

    code = "SESSION_PERSISTENCE_DISABLED"

    def __init__(self, *, what: str, session_id: str | None = None) -> None:
        super().__init__(
            f"{what} needs persistent sessions, and this service keeps them in memory only: "
            "open the realm with a path",
            session_id=session_id,
        )


class SessionUnsupported(SessionError):
    """An optional operation, or an override outside its window."""

    code = "SESSION_UNSUPPORTED"

    def __init__(self, *, what: str, session_id: str | None = None) -> None:
        super().__init__(what, session_id=session_id)
        self.what = what


class MissingSessionMetadata(SessionError):
    """A session cannot be resumed: nothing in it tells which model answers (REC-1)."""

    code = "SESSION_METADATA_MISSING"

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            f"session {session_id} does not say which model answers: "
            "create a new one, with a model, from its messages",
            session_id=session_id,
        )


class SystemContextConflict(SessionError):
    """An append's idempotency key was used before, for another text or source (SES-20)."""

    code = "SESSION_SYSTEM_CONTEXT_CONFLICT"

    def __init__(self, *, key: str, session_id: str = "") -> None:
        super().__init__(
            f"the key {key!r} was used for another system context: choose a new key, "
            "or send the first text again",
            session_id=session_id,
        )
        self.key = key


class AgentError(MeerkatError):
    """A run ended without a result, or an agent could not be built."""

    code = "AGENT_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class RunCancelled(AgentError):
    """The run was interrupted. Its transcript was repaired and the session is usable."""

    code = "REQUEST_CANCELLED"

    def __init__(self, *, reason: str = "interrupted") -> None:
        super().__init__(f"the run was cancelled ({reason}): the session takes the next one")
        self.reason = reason


class NoPendingBoundary(AgentError):
    """Asked to continue, but the transcript waits for nothing (SES-2)."""

    def __init__(self) -> None:
        super().__init__("nothing to continue from: give a prompt")


class HookDenied(AgentError):
    """A hook denied what the run was about to do, or failed closed (HK-5)."""

    code = "HOOK_DENIED"

    def __init__(self, *, point: str, reason_code: str, why: str) -> None:
        super().__init__(
            f"denied at {point} ({reason_code}): {why}; change what is asked, or the hook"
        )
        self.point, self.reason_code, self.why = point, reason_code, why


class SkillNotFound(AgentError):
    """A run was referred to a skill that its session has not. The run did not begin."""

    code = "SKILL_NOT_FOUND"

    def __init__(self, *, skill: str, known: Sequence[str]) -> None:
        there_are = ", ".join(known) or "none"
        super().__init__(f"no skill {skill!r}: give the session one, or name one of: {there_are}")
        self.skill, self.known = skill, tuple(known)


class InvalidOutputSchema(AgentError):
    """What should describe an answer is no JSON Schema, or one that we cannot hold it to."""

    code = "INVALID_OUTPUT_SCHEMA"

    def __init__(self, *, what: str, path: str, hint: str) -> None:
        super().__init__(f"{path}: {what}; {hint}")
        self.what, self.path, self.hint = what, path, hint


class StructuredOutputValidationFailed(AgentError):
    """The model did not bring its answer into the form that was asked for (EXT-3).

    ``attempts`` are the calls that were made for it, ``last_output`` what the last one said.
    """

    code = "STRUCTURED_OUTPUT_VALIDATION_FAILED"

    def __init__(self, *, attempts: int, reason: str, last_output: str) -> None:
        super().__init__(
            f"no answer in the form that was asked for, after {attempts} attempts: {reason}; "
            "allow more attempts, simplify the schema, or ask a more capable model"
        )
        self.attempts, self.reason, self.last_output = attempts, reason, last_output


class HookExecutionFailed(AgentError):
    """A command or a server that is a hook gave no answer that can be taken (HK-7).

    Inside a run it is the hook's failure, never the run's: see its failure policy.
    """

    code = "HOOK_EXECUTION_FAILED"

    def __init__(self, *, what: str, why: str) -> None:
        super().__init__(f"{what} {why}; repair the hook, or disable it")
        self.what, self.why = what, why


class TimeBudgetExceeded(AgentError):
    """A run took longer than its budget; what it did so far is kept (4.7)."""

    code = "BUDGET_EXHAUSTED"

    def __init__(self, *, limit_ms: int) -> None:
        super().__init__(
            f"the run took longer than its budget of {limit_ms} ms: allow more, or ask for less"
        )
        self.limit_ms = limit_ms


class CallbackPending(AgentError):
    """A run stopped at a tool that somebody else runs; what it did so far is kept (4.4, step 20).

    ``arguments`` is the JSON of the first such call. Stage the results, then go on from there.
    """

    code = "CALLBACK_PENDING"

    def __init__(self, *, tool_name: str, tool_use_id: str, arguments: str) -> None:
        super().__init__(
            f"the run waits for the result of {tool_name} (call {tool_use_id}): give it to "
            "stage_tool_results, then start a turn that resumes what is pending"
        )
        self.tool_name, self.tool_use_id, self.arguments = tool_name, tool_use_id, arguments


class LlmFailed(AgentError):
    """The model call failed.

    ``reason`` is one of rate_limited, context_exceeded, auth_error, invalid_model,
    provider_error, network_timeout, call_timeout (RTY-2); ``retryable`` follows CLI-3;
    ``retry_after_ms`` is the server's hint, None when it gave none.
    """

    code = "PROVIDER_ERROR"

    def __init__(
        self,
        *,
        provider: str,
        reason: str,
        detail: str,
        hint: str,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{provider}: {detail}; {hint}")
        self.provider, self.reason, self.detail, self.hint = provider, reason, detail, hint
        self.retryable, self.retry_after_ms, self.status = retryable, retry_after_ms, status


class LlmKeyMissing(LlmFailed):
    """A provider needs a key and none was given."""

    code = "PROVIDER_KEY_MISSING"

    def __init__(self, *, provider: str, model: str, variables: Sequence[str]) -> None:
        names = " or ".join(variables)
        super().__init__(
            provider=provider,
            reason="auth_error",
            detail=f"model {model!r} needs an API key and none is set",
            hint=f"set {names}, pass --base-url for a server of your own, "
            "or play offline with --model scripted",
        )
        self.model, self.variables = model, tuple(variables)


class LlmUnreachable(LlmFailed):
    """The model server did not answer, or did not answer as one."""

    code = "PROVIDER_UNREACHABLE"

    def __init__(self, *, url: str, detail: str, hint: str, retryable: bool = True) -> None:
        super().__init__(
            provider=url, reason="provider_error", detail=detail, hint=hint, retryable=retryable
        )
        self.url = url


class ScriptError(LlmFailed):
    """A scripted model was called where its script has no line, or a line was never spoken."""

    code = "SCRIPT_ERROR"

    def __init__(self, *, detail: str, hint: str) -> None:
        super().__init__(provider="scripted", reason="provider_error", detail=detail, hint=hint)


class CassetteMiss(ScriptError):
    """A replayed model was asked what was not recorded, or more often than it was.

    ``place`` is what differs first from the nearest recorded call, such as ``messages[2]``,
    ``model`` or ``tools.search``, with what is there in each; None means nothing. It is empty when
    the call was recorded and all its recordings are spent.
    """

    code = "CASSETTE_MISS"

    def __init__(
        self, *, detail: str, place: str = "", recorded: str | None = None, asked: str | None = None
    ) -> None:
        super().__init__(detail=detail, hint="see what has changed, or record the run again")
        self.place, self.recorded, self.asked = place, recorded, asked


class RuntimeFault(MeerkatError):
    """Something about one session's inbox."""

    code = "RUNTIME_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class RuntimeNotReady(RuntimeFault):
    """The state of a runtime forbids what was asked (spec sessions section 0, 5.3, 5.6)."""

    code = "NOT_READY"

    def __init__(self, *, session_id: str, state: str) -> None:
        super().__init__(
            f"the runtime of session {session_id} is {state} and cannot do this now: wait until "
            "it rests, reset one that is retired, or use another session"
        )
        self.session_id, self.state = session_id, state


class InputRejected(RuntimeFault):
    """An input says something that an input of its kind cannot. It leaves no record.

    ``reject_type`` is durability_violation or peer_handling_mode_invalid (spec sessions 5.3).
    """

    code = "INPUT_REJECTED"

    def __init__(self, *, input_id: str, reject_type: str, what: str) -> None:
        super().__init__(f"input {input_id} is rejected: {what}")
        self.input_id, self.reject_type, self.what = input_id, reject_type, what


class InboxFull(RuntimeFault):
    """The receiver's inbox is at its bound. Nothing was accepted."""

    code = "INBOX_FULL"

    def __init__(self, *, session_id: str, bound: int) -> None:
        super().__init__(
            f"the inbox of {session_id} holds its {bound} inputs: wait until it has worked, "
            "then send again"
        )
        self.session_id, self.bound = session_id, bound


class InputEnded(RuntimeFault):
    """An accepted input ended without being applied; ``reason`` says how.

    With ``waits`` it has ended here only: it is kept, and the next process answers it.
    """

    code = "INPUT_ENDED"

    def __init__(self, *, input_id: str, reason: str, waits: bool = False) -> None:
        super().__init__(
            f"input {input_id} is not answered yet: {reason}; it is kept, and goes on when its "
            "mob or session is resumed"
            if waits
            else f"input {input_id} ended unanswered: {reason}; send it again if it matters"
        )
        self.input_id, self.reason, self.waits = input_id, reason, waits


class OperationNotFound(RuntimeFault):
    """No background operation of that id is remembered; one that ended long ago is forgotten."""

    code = "OPERATION_NOT_FOUND"

    def __init__(self, *, session_id: str, operation_id: str) -> None:
        super().__init__(
            f"session {session_id} remembers no operation {operation_id}: list those there are"
        )
        self.session_id, self.operation_id = session_id, operation_id


class OperationExists(RuntimeFault):
    """An operation of that id was registered before. Nothing changed."""

    code = "OPERATION_EXISTS"

    def __init__(self, *, session_id: str, operation_id: str) -> None:
        super().__init__(
            f"session {session_id} has an operation {operation_id} already: register it once, "
            "or choose another id"
        )
        self.session_id, self.operation_id = session_id, operation_id


class OperationRefused(RuntimeFault):
    """Something cannot happen to an operation where it stands (spec sessions 5.12).

    ``move`` is what was asked, ``status`` where it stands. Nothing changed.
    """

    code = "OPERATION_REFUSED"

    def __init__(self, *, operation_id: str, move: str, status: str, why: str = "") -> None:
        super().__init__(
            f"operation {operation_id} is {status} and refuses {move}"
            f"{f', since {why}' if why else ''}: look at its snapshot before"
        )
        self.operation_id, self.move, self.status, self.why = operation_id, move, status, why


class TooManyOperations(RuntimeFault):
    """A session has as many operations at work as it may. None was registered."""

    code = "MAX_CONCURRENT_EXCEEDED"

    def __init__(self, *, session_id: str, limit: int) -> None:
        super().__init__(
            f"session {session_id} has its {limit} operations at work: wait until one has ended"
        )
        self.session_id, self.limit = session_id, limit


class WaitRefused(RuntimeFault):
    """A wait for several operations cannot be begun; ``why`` says which rule it breaks."""

    code = "OPERATION_WAIT_REFUSED"

    def __init__(self, *, session_id: str, why: str) -> None:
        super().__init__(
            f"session {session_id} cannot wait: {why}; wait once, for different operations"
        )
        self.session_id, self.why = session_id, why


class ToolFailed(MeerkatError):
    """A tool cannot do what was asked; its model reads the message. It never breaks a run."""

    code = "TOOL_FAILED"


class CommsError(MeerkatError):
    """A message to a peer could not be sent."""

    code = "COMMS_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class PeerNotFound(CommsError):
    """Nobody of that name can be written to from here (COM-22)."""

    code = "PEER_NOT_FOUND"

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(known) or "nobody"
        super().__init__(f"no peer {name!r}; you can write to: {listed}")
        self.name, self.known = name, tuple(known)


class ClockStuck(MeerkatError):
    """Virtual time cannot go on: a deadlock, or a limit. ``waiting`` says who waits where."""

    code = "CLOCK_STUCK"

    def __init__(self, *, why: str, now_s: float, waiting: Sequence[str] = ()) -> None:
        told = "".join(f"\n  {task}" for task in waiting)
        super().__init__(
            f"virtual time stands still at {now_s:g} s: {why}; "
            f"let what is waited for happen, or raise the limit{told}"
        )
        self.why, self.now_s, self.waiting = why, now_s, tuple(waiting)
