"""A running mob as somebody who watches it sees it: a fold over its events.

What has happened becomes entries, to be shown once and in order; what is happening is the state of
each seat and of the board. Nothing here draws, and nothing here waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from meerkat_mob.core.events import (
    AgentEvent,
    BudgetWarning,
    CompactionCompleted,
    EventEnvelope,
    ModelFallback,
    ReasoningDelta,
    Retrying,
    RunCallbackPending,
    RunCompleted,
    RunFailed,
    RunStarted,
    StreamTruncated,
    TextComplete,
    TextDelta,
    ToolCallRequested,
    ToolExecutionCompleted,
    ToolResultReceived,
    TurnCompleted,
    TurnStarted,
)
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.usage import Usage
from meerkat_mob.mob.events import AnyEvent, Lagged, MemberEvent, MobEvent
from meerkat_mob.mob.facts import (
    CapabilityMissing,
    MemberSpawned,
    TaskCreated,
    TaskStatus,
    TaskUpdated,
)

# -- what has happened -------------------------------------------------------------------------

Verb: TypeAlias = Literal["adds", "takes", "gives", "completes", "cancels", "reopens"]


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member's text, addressed to no peer."""

    member: str
    text: str


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message to a peer; ``problem`` is why it was not delivered."""

    member: str
    to: str
    body: str
    problem: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of the board by a member; ``to`` is who was given the task."""

    member: str
    verb: Verb
    task: str
    to: str = ""


class Used(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Any other call of a tool; ``problem`` is what it answered when it failed."""

    member: str
    tool: str
    args: str
    result: str
    problem: str = ""


class Broke(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member's run failed."""

    member: str
    error: str


class Again(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A failed model call will be made again."""

    member: str
    attempt: int
    most: int
    delay_ms: int
    error: str


class Noted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something else worth knowing; ``member`` is empty when it is about nobody."""

    text: str
    member: str = ""


Entry: TypeAlias = Said | Sent | Moved | Used | Broke | Again | Noted

# -- what is happening -------------------------------------------------------------------------

Doing: TypeAlias = Literal["idle", "thinking", "reasoning", "speaking", "calling", "waiting"]


class Tally(msgspec.Struct, kw_only=True):
    """What a member has done so far. ``usage`` None: nobody has said."""

    failed_runs: int = 0
    turns: int = 0
    tool_calls: int = 0
    failed_calls: int = 0
    usage: Usage | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call that has not answered yet."""

    name: str
    args: bytes


class Seat:
    """One member at work: what it does now, the text it is saying, its open calls."""

    def __init__(self, member: str, profile: str) -> None:
        self.member, self.profile = member, profile
        self.doing: Doing = "idle"
        self.since_ms = 0
        self.said: list[str] = []
        self.calls: dict[str, Call] = {}
        self.tally = Tally()

    @property
    def text(self) -> str:
        """What it is saying or thinking aloud, so far."""
        return "".join(self.said)

    def turn_to(self, doing: Doing, at: int) -> None:
        """Begins to do something else."""
        if doing != self.doing:
            self.doing, self.since_ms = doing, at
            self.said.clear()


class Card(msgspec.Struct, kw_only=True):
    """A task on the board, with the short number it is shown by."""

    number: int
    subject: str
    status: TaskStatus = "open"
    owner: str = ""

    @property
    def title(self) -> str:
        """Number and subject."""
        return f"#{self.number} {self.subject}"


_objects: Final = msgspec.json.Decoder(JsonObject)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Story:
    """Everything a view shows. ``apply`` takes the mob's events in order."""

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self.board: dict[str, Card] = {}

    def apply(self, event: AnyEvent) -> tuple[Entry, ...]:
        """Folds an event in, and returns what it adds to the log."""
        match event:
            case MobEvent():
                return tuple(self._fact(event))
            case Lagged(skipped=skipped):
                return (Noted(text=f"{skipped} events passed too fast to be shown"),)
            case MemberEvent(member=member, profile=profile, envelope=envelope):
                seat = self.seats.setdefault(member, Seat(member, profile))
                return tuple(self._work(seat, envelope))

    def plain(self, text: str) -> str:
        """A text in which tasks go by their numbers on the board, for people."""
        return _ID.sub(lambda found: self._number(found[0]), text)

    def _number(self, task_id: str) -> str:
        card = self.board.get(task_id)
        return task_id if card is None else f"#{card.number}"

    # -- facts of the mob ----------------------------------------------------------------------

    def _fact(self, event: MobEvent) -> Iterator[Entry]:
        match event.kind:
            case MemberSpawned(member=member, profile=profile):
                self.seats.setdefault(member, Seat(member, profile))
            case CapabilityMissing(member=member, flag=flag, reason=reason):
                yield Noted(member=member, text=f"works without {flag!r}: {reason}")
            case TaskCreated(task_id=task_id, subject=subject):
                self.board[task_id] = Card(number=len(self.board) + 1, subject=subject)
            case TaskUpdated(task_id=task_id, status=status, owner=owner):
                if card := self.board.get(task_id):
                    card.status, card.owner = status, owner or ""
            case _:
                pass

    # -- a member's run ------------------------------------------------------------------------

    def _work(self, seat: Seat, envelope: EventEnvelope) -> Iterator[Entry]:
        at, event = envelope.timestamp_ms, envelope.payload
        self._count(seat.tally, event)
        match event:
            case RunStarted() | TurnStarted():
                seat.turn_to("thinking", at)
            case TextDelta(delta=delta):
                seat.turn_to("speaking", at)
                seat.said.append(delta)
            case ReasoningDelta(delta=delta):
                seat.turn_to("reasoning", at)
                seat.said.append(delta)
            case ToolCallRequested(id=call_id, name=name, args=args):
                seat.turn_to("calling", at)
                seat.calls[call_id] = Call(name=name, args=bytes(args))
            case RunCompleted() | RunFailed() | RunCallbackPending():
                seat.turn_to("idle", at)
            case Retrying():
                seat.turn_to("waiting", at)
            case _:
                pass
        yield from self._told(seat, event)

    def _told(self, seat: Seat, event: AgentEvent) -> Iterator[Entry]:
        match event:
            case TextComplete(content=content) if content.strip():
                yield Said(member=seat.member, text=self.plain(content.strip()))
            case ToolExecutionCompleted(id=call_id, result=result, is_error=is_error):
                if call := seat.calls.pop(call_id, None):
                    problem = self._problem(result) if is_error else ""
                    yield self._called(seat.member, call, result, problem)
            case ToolResultReceived(id=call_id) if call := seat.calls.pop(call_id, None):
                yield self._called(seat.member, call, "", "interrupted")
            case RunCallbackPending(calls=calls):
                names = ", ".join(call.name for call in calls)
                yield Noted(member=seat.member, text=f"waits for the result of {names}")
            case BudgetWarning(budget_type=what, percent=percent):
                told = f"has used {percent:g} % of its {what.replace('_', ' ')}"
                yield Noted(member=seat.member, text=told)
            case RunFailed(error=error):
                yield Broke(member=seat.member, error=error)
            case Retrying(attempt=attempt, max_attempts=most, error=error, delay_ms=delay):
                yield Again(
                    member=seat.member, attempt=attempt, most=most, delay_ms=delay, error=error
                )
            case ModelFallback(from_model=former, to_model=model, error=error):
                told = f"goes on with {model}, for {former} failed: {error}"
                yield Noted(member=seat.member, text=told)
            case CompactionCompleted(messages_before=before, messages_after=after):
                told = f"has summed up {before - after + 1} older messages"
                yield Noted(member=seat.member, text=told)
            case StreamTruncated(reason=reason):
                yield Noted(member=seat.member, text=f"cannot be shown whole: {reason}")
            case _:
                pass

    @staticmethod
    def _count(tally: Tally, event: AgentEvent) -> None:
        match event:
            case RunFailed():
                tally.failed_runs += 1
            case TurnStarted():
                tally.turns += 1
            case ToolExecutionCompleted(is_error=is_error):
                tally.tool_calls += 1
                tally.failed_calls += is_error
            case TurnCompleted(usage=usage) | RunCompleted(usage=usage) if usage.total:
                tally.usage = usage
            case _:
                pass

    # -- tool calls in words -------------------------------------------------------------------

    def _called(self, member: str, call: Call, result: str, problem: str) -> Entry:
        args = _decode(call.args)
        match call.name, args:
            case "send_message", {"to": str(to), "body": str(body)}:
                body = self.plain(body.strip())
                return Sent(member=member, to=to.rsplit("/", 1)[-1], body=body, problem=problem)
            case "mob_task_create", {"subject": str(subject)} if not problem:
                card = self.board.get(_created(result))
                return Moved(member=member, verb="adds", task=card.title if card else subject)
            case "mob_task_update", {"task_id": str(task_id), "status": str(status)} if (
                not problem and (card := self.board.get(task_id))
            ):
                return _moved(member, card, status, args.get("owner"))
            case _:
                told = self.plain(_brief(result))
                shown = self.plain(_short(args))
                return Used(member=member, tool=call.name, args=shown, result=told, problem=problem)

    def _problem(self, result: str) -> str:
        match _decode(result.encode()):
            case {"message": str(message)}:
                return self.plain(message)
            case _:
                return result


def _decode(raw: bytes) -> JsonObject:
    """The JSON object in these bytes; empty when they hold something else."""
    try:
        found: JsonObject = _objects.decode(raw)
    except msgspec.DecodeError:
        return {}
    return found


def _created(result: str) -> str:
    return str(_decode(result.encode()).get("task_id"))


def _moved(member: str, card: Card, status: str, owner: object) -> Moved:
    given = owner if isinstance(owner, str) and owner != member else ""
    verbs: dict[str, Verb] = {
        "in_progress": "gives" if given else "takes",
        "completed": "completes",
        "cancelled": "cancels",
    }
    verb = verbs.get(status, "reopens")
    return Moved(member=member, verb=verb, task=card.title, to=given if verb == "gives" else "")


def _brief(result: str) -> str:
    """A result on one line: how many a list holds, the values of an object, else the text."""
    found = _decode(result.encode())
    if len(found) != 1:
        return _short(found) if found else result
    [(key, value)] = found.items()
    if not isinstance(value, list):
        return _short(found)
    return f"{len(value)} {key if len(value) != 1 else key.removesuffix('s')}"


def _short(args: JsonObject) -> str:
    """Arguments on one line; values that are no texts as JSON."""
    return ", ".join(f"{key}={_flat(value)}" for key, value in args.items())


def _flat(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
