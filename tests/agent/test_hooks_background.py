"""Hooks that nobody waits for: when they start, what they come to, and how they end (HK-4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.guard import Guard
from meerkat_mob.agent.hooks import Hooks
from meerkat_mob.core.events import (
    AgentEvent,
    EventEnvelope,
    HookDenied,
    HookFailed,
    HookPatchPublished,
)
from meerkat_mob.core.hooks import (
    BEFORE,
    PATCH_AT,
    AssistantTextPatch,
    Capability,
    Deny,
    FailurePolicy,
    Hook,
    HookAnswer,
    HookCall,
    HookPatchEnvelope,
    HookPoint,
    LlmRequestPatch,
    RunResultPatch,
)
from meerkat_mob.errors import InvalidParams
from meerkat_mob.testing.builders import the_loop_s_clock

POINTS: tuple[HookPoint, ...] = (*PATCH_AT, "run_started", "run_failed", "turn_boundary")
Run = Callable[[HookCall], Awaitable[HookAnswer]]
END = HookCall(point="run_completed", session_id="s", text="done")
ANSWER = HookCall(point="post_llm_response", session_id="s")


def behind(name: str, run: Run, *, point: HookPoint = "run_completed", limit: int = 32) -> Hook:
    """A background hook that may say what it likes."""
    return Hook(
        id=name,
        point=point,
        run=run,
        mode="background",
        capability="rewrite" if point in PATCH_AT and point not in BEFORE else "observe",
        failure_policy="fail_open",
        background_limit=limit,
    )


def saying(answer: HookAnswer) -> Run:
    async def run(_: HookCall) -> HookAnswer:
        return answer

    return run


class Desk:
    """Hooks over a list of events. Closed at the end, so that no test leaves a task."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self.said: list[AgentEvent] = []
        self.hooks = Hooks(hooks, emit=self.said.append, clock=the_loop_s_clock)

    async def __aenter__(self) -> Desk:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hooks.close()

    @property
    def kinds(self) -> list[str]:
        return [str(e.__struct_config__.tag).removeprefix("hook_") for e in self.said]

    @property
    def published(self) -> list[HookPatchPublished]:
        return [e for e in self.said if isinstance(e, HookPatchPublished)]


async def a_while() -> None:
    """So that whoever can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


# -- when they start ---------------------------------------------------------------------------


async def test_the_run_goes_on_while_they_work() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(_: HookCall) -> HookAnswer:
        await go.wait()
        done.set()
        return None

    async with Desk([behind("slow", slow)]) as desk:
        assert await desk.hooks.ask(END) is None
        assert desk.kinds == ["started"]
        go.set()
        await done.wait()
        await a_while()
        assert desk.kinds == ["started", "completed"]


async def test_they_start_after_the_others_with_what_passes_then() -> None:
    told: list[str | msgspec.UnsetType] = []

    async def note(call: HookCall) -> HookAnswer:
        told.append(call.text)
        return None

    change = Hook(
        id="change",
        point="run_completed",
        run=saying(RunResultPatch(text="changed")),
        capability="rewrite",
        priority=900,
    )
    async with Desk([behind("note", note), change]) as desk:
        guard = Guard(desk.hooks, "s")
        assert await guard.finish("first") == "changed"
        await a_while()
        assert told == ["changed"]
        assert desk.kinds == ["started", "completed", "rewrite_applied", "started", "completed"]


async def test_none_starts_where_somebody_denies() -> None:
    no = Hook(
        id="no",
        point="run_completed",
        run=saying(Deny(message="no")),
        capability="guardrail",
        priority=900,
    )
    async with Desk([behind("late", saying(None)), no]) as desk:
        assert await desk.hooks.ask(END) == Deny(message="no")
        await a_while()
        assert desk.kinds == ["started", "completed", "denied"]


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_of_them_are_at_work_than_may_be_and_who_is_skipped_is_told(
    limit: int,
) -> None:
    go, at_work, most = asyncio.Event(), 0, 0

    async def work(_: HookCall) -> HookAnswer:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await go.wait()
        at_work -= 1
        return None

    async with Desk([behind(f"h{n}", work, limit=limit) for n in range(5)]) as desk:
        await desk.hooks.ask(END)
        await a_while()
        skipped = [e for e in desk.said if isinstance(e, HookFailed)]
        assert [e.hook_id for e in skipped] == [f"h{n}" for n in range(limit, 5)]
        assert skipped[0].error == f"skipped: {limit} background hooks are at work"
        go.set()
        await a_while()
        await desk.hooks.ask(END)  # there is room again
        await a_while()
        assert desk.kinds.count("completed") == 2 * limit
        assert most == limit


# -- what they come to -------------------------------------------------------------------------


@pytest.mark.virtual_only
async def test_a_patch_is_not_applied_but_published_when_hooks_are_asked_the_next_time() -> None:
    async def later(_: HookCall) -> HookAnswer:
        await asyncio.sleep(2)
        return AssistantTextPatch(text="one"), AssistantTextPatch(text="two")

    hooks = [behind("late", later, point="post_llm_response"), behind("end", saying(None))]
    async with Desk(hooks) as desk:
        applied: list[object] = []

        def apply(patch: object) -> HookCall:
            applied.append(patch)
            return ANSWER

        at = the_loop_s_clock() + 2000
        await desk.hooks.ask(ANSWER, apply)
        await asyncio.sleep(3)
        assert (applied, desk.kinds) == ([], ["started", "completed"])
        await desk.hooks.ask(END)
        assert desk.published == [
            HookPatchPublished(
                hook_id="late",
                point="post_llm_response",
                envelope=HookPatchEnvelope(
                    revision=n, patch=AssistantTextPatch(text=text), published_at=at
                ),
            )
            for n, text in ((1, "one"), (2, "two"))
        ]
        assert desk.kinds[2:4] == ["patch_published", "patch_published"]
        await desk.hooks.ask(END)
        assert len(desk.published) == 2  # once each


async def test_revisions_grow_over_all_hooks_of_an_agent() -> None:
    late = [behind(f"h{n}", saying(RunResultPatch(text=str(n)))) for n in range(3)]
    async with Desk(late) as desk:
        for _ in range(3):
            await desk.hooks.ask(END)
            await a_while()
        assert [told.envelope.revision for told in desk.published] == [1, 2, 3, 4, 5, 6]


async def test_a_denial_comes_too_late_and_is_told() -> None:
    async with Desk([behind("no", saying(Deny(message="no")))]) as desk:
        assert await desk.hooks.ask(END) is None
        await a_while()
        assert await desk.hooks.ask(END) is None
        assert [e.message for e in desk.said if isinstance(e, HookDenied)] == ["no"]


@pytest.mark.virtual_only
async def test_one_that_fails_or_hangs_is_told_and_nothing_else_happens() -> None:
    async def broken(_: HookCall) -> HookAnswer:
        raise OSError("gone")

    async def hang(_: HookCall) -> HookAnswer:
        await asyncio.Event().wait()
        return None

    hooks = [behind("broken", broken), behind("hang", hang)]
    async with Desk(hooks) as desk:
        assert await desk.hooks.ask(END) is None
        await asyncio.sleep(6)
        told = {e.hook_id: e.error for e in desk.said if isinstance(e, HookFailed)}
        assert told == {"broken": "OSError: gone", "hang": "it took longer than 5000 ms"}


async def test_before_something_happens_they_can_only_look() -> None:
    call = HookCall(point="pre_llm_request", session_id="s")
    hook = behind("late", saying(LlmRequestPatch(max_tokens=1)), point="pre_llm_request")
    async with Desk([hook]) as desk:
        assert await desk.hooks.ask(call) is None
        await a_while()
        await desk.hooks.ask(call)
        assert desk.published == []
        assert "an observer may only look" in [
            e.error.partition(":")[0] for e in desk.said if isinstance(e, HookFailed)
        ]


def test_what_is_published_can_be_written_and_read() -> None:
    envelope = HookPatchEnvelope(revision=3, patch=RunResultPatch(text="x"), published_at=5)
    told = EventEnvelope(
        event_id="e",
        source_id="s",
        seq=1,
        timestamp_ms=5,
        payload=HookPatchPublished(hook_id="h", point="run_completed", envelope=envelope),
    )
    raw = msgspec.json.encode(told)
    assert msgspec.json.decode(raw, type=EventEnvelope) == told
    assert msgspec.json.decode(raw)["payload"] == {
        "type": "hook_patch_published",
        "hook_id": "h",
        "point": "run_completed",
        "envelope": {
            "revision": 3,
            "patch": {"patch_type": "run_result", "text": "x"},
            "published_at": 5,
        },
    }


# -- how they end ------------------------------------------------------------------------------


async def test_closing_ends_them_and_waits_until_they_have_cleaned_up() -> None:
    cleaned: list[str] = []

    async def hang(_: HookCall) -> HookAnswer:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")
        return None

    async with Desk([behind("a", hang), behind("b", hang)]) as desk:
        guard = Guard(desk.hooks, "s")
        await guard.finish("done")
        await a_while()
        before = asyncio.all_tasks()
        await guard.close()
        assert cleaned == ["up", "up"]
        assert len(before - asyncio.all_tasks()) == 2
        await guard.close()
        assert desk.kinds == ["started", "started"]


async def test_after_closing_none_starts_and_the_others_are_still_asked() -> None:
    """A guardrail that is not asked any more would let things pass."""
    no = Hook(id="no", point="run_started", run=saying(Deny(message="no")), capability="guardrail")
    desk = Desk([no, behind("late", saying(None))])
    await desk.hooks.close()
    await desk.hooks.ask(END)
    assert desk.kinds == []
    assert await desk.hooks.ask(HookCall(point="run_started", session_id="s")) is not None


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("capability", ["observe", "guardrail", "rewrite"])
@pytest.mark.parametrize("policy", [None, "fail_open", "fail_closed"])
def test_those_that_could_never_do_what_they_say_are_refused_with_their_place(
    point: HookPoint, capability: Capability, policy: FailurePolicy | None
) -> None:
    hook = Hook(id="h", point=point, run=saying(None), mode="background", capability=capability)
    if policy is not None:
        hook = msgspec.structs.replace(hook, failure_policy=policy)
    changes_nothing = capability == "rewrite" and point not in PATCH_AT
    wrong_capability = changes_nothing or (capability != "observe" and point in BEFORE)
    closes = policy == "fail_closed" or (policy is None and capability != "observe")
    if not (wrong_capability or closes):
        Desk([hook])
        return
    with pytest.raises(InvalidParams) as refused:
        Desk([hook])
    field = "capability" if wrong_capability else "failure_policy"
    assert refused.value.path == f"hooks.h.{field}"


# -- the order ---------------------------------------------------------------------------------

shapes = st.lists(
    st.tuples(st.integers(-2, 2), st.integers(0, 50), st.booleans()), min_size=1, max_size=8
)


@given(shapes)
@pytest.mark.virtual_only
async def test_how_long_they_take_never_changes_the_order(
    shape: list[tuple[int, int, bool]],
) -> None:
    """HK-2: priority, then registration; the last patch wins; the background comes behind."""
    asked: list[str] = []

    def taking(name: str, seconds: int) -> Run:
        async def run(_: HookCall) -> HookAnswer:
            asked.append(name)
            await asyncio.sleep(seconds / 20)
            return RunResultPatch(text=name)

        return run

    hooks = [
        msgspec.structs.replace(
            behind(f"h{n}", taking(f"h{n}", seconds)),
            priority=priority,
            mode="background" if late else "foreground",
        )
        for n, (priority, seconds, late) in enumerate(shape)
    ]
    async with Desk(hooks) as desk:
        text = await Guard(desk.hooks, "s").finish("none")
        await asyncio.sleep(3)
        ordered = sorted(hooks, key=lambda hook: hook.priority)
        waited = [hook.id for hook in ordered if hook.mode == "foreground"]
        late = [hook.id for hook in ordered if hook.mode == "background"]
        assert asked == waited + late
        assert text == (waited[-1] if waited else "none")


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
@pytest.mark.virtual_only
async def test_whatever_is_asked_they_stay_within_their_limit_and_none_is_lost(
    pauses: list[int], limit: int
) -> None:
    """Each is told as completed or skipped; each patch is published once, by its revision."""
    at_work = most = 0

    async def work(_: HookCall) -> HookAnswer:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(3)
        at_work -= 1
        return RunResultPatch(text="x")

    async with Desk([behind("h", work, limit=limit)]) as desk:
        for pause in pauses:
            await desk.hooks.ask(END)
            await asyncio.sleep(pause / 3)
        await asyncio.sleep(4)
        await desk.hooks.ask(END)
        assert most <= limit
        assert desk.kinds.count("failed") + desk.kinds.count("completed") == len(pauses)
        revisions = [told.envelope.revision for told in desk.published]
        assert revisions == list(range(1, desk.kinds.count("completed") + 1))
