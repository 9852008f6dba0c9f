"""What was answered was kept: each call that came back is there when the place is opened again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from meerkat_mob.core.build_state import BudgetLimits, MobToolAuthorityContext
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.hooks import Hook, HookCall, RunResultPatch
from meerkat_mob.core.messages import ToolResult, ToolResults, text_of_message
from meerkat_mob.core.metadata import PeerMeta, SessionLlmIdentity
from meerkat_mob.core.output_schema import output_of
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.reserved import (
    BUILD_STATE,
    COMPACTION_CADENCE,
    SESSION_METADATA,
    CompactionCadence,
)
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.tool_visibility import deny
from meerkat_mob.core.tools import callback_tool
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    CallbackPending,
    LlmFailed,
    SessionUnsupported,
    StructuredOutputValidationFailed,
    SystemContextConflict,
)
from meerkat_mob.llm import ScriptedLlm, call, fail, say
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides
from meerkat_mob.sessions.receipts import verify_receipts
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_turn,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import seen, sessions_in
from meerkat_mob.testing.session_contract.maker import said
from meerkat_mob.testing.store_contract import OpenStore

ECHO = a_tool_that_echoes()


async def _is_there_again(
    open_store: OpenStore,
    change: Callable[[PersistentSessionService, str], Awaitable[object]],
    llm: ScriptedLlm | None = None,
) -> None:
    async with sessions_in(open_store, llm) as service:
        request = a_request("kept", defer=True, stage=True, labels={"a": "1"})
        session_id = (await service.create_session(request)).session_id
        await change(service, session_id)
        before = await seen(service, session_id)
    for _ in range(2):
        async with sessions_in(open_store) as service:
            same(await seen(service, session_id), before, "what is seen after a restart")
            holds(not await service.has_live_session(session_id), "and it still rests")


async def a_created_session_is_there_again(open_store: OpenStore) -> None:
    """W13: with all that its request said, before any turn."""
    options = SessionBuildOptions(
        session_id="mine",
        comms_name="team/dev/ann",
        peer_meta=PeerMeta(description="knows things", labels={"b": "1"}),
        realm_id="mob:team",
        keep_alive=True,
        provider_params={"seed": 7},
        max_turns=3,
        mob_tool_authority_context=MobToolAuthorityContext(principal_token="p"),  # noqa: S106
    )
    request = CreateSessionRequest(
        model="gpt-9",
        prompt=(TextBlock(text="see"), ImageBlock(media_type="a/b", source="inline", data="AA==")),
        system_prompt="kind",
        max_tokens=77,
        initial_turn="defer",
        deferred_prompt_policy="stage",
        build=options,
        labels={"team": "red"},
    )
    async with sessions_in(open_store) as service:
        await service.create_session(request)
        before = await seen(service, "mine")
    async with sessions_in(open_store) as service:
        same(await seen(service, "mine"), before, "what is seen after a restart")


async def a_turn_is_there_again(open_store: OpenStore) -> None:
    """Every message, the usage, the last text, and that the first turn is over."""
    used = Usage(input_tokens=3, output_tokens=5, cache_read_tokens=1)

    async def change(service: PersistentSessionService, session_id: str) -> None:
        await service.start_turn(session_id, StartTurnRequest(prompt="hi", system_prompt="late"))
        await service.start_turn(session_id, a_turn("again"))

    await _is_there_again(open_store, change, ScriptedLlm([say("one", usage=used), "two"]))


async def a_failed_turn_is_there_again(open_store: OpenStore) -> None:
    """What was said stays said, also when nobody answered."""

    async def change(service: PersistentSessionService, session_id: str) -> None:
        with refuses(LlmFailed):
            await service.start_turn(session_id, a_turn("hi"))

    await _is_there_again(open_store, change, ScriptedLlm([fail("no")]))


async def tool_traffic_is_there_again(open_store: OpenStore) -> None:
    """Calls and results, byte for byte, and which tools the session needs."""
    async with sessions_in(open_store, ScriptedLlm([call("echo", n=1), "done"])) as service:
        session_id = await a_session(service, tools=(ECHO,))
        await service.start_turn(session_id, a_turn())
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        same(await seen(service, session_id), before, "what is seen after a restart")


async def a_note_is_there_again(open_store: OpenStore) -> None:
    """With its source and its key."""
    await _is_there_again(
        open_store,
        lambda service, session_id: service.append_system_context(
            session_id, "red", source="ci", idempotency_key="k"
        ),
    )


async def staged_results_are_there_again(open_store: OpenStore) -> None:
    """With the time they came."""
    result = ToolResult(tool_use_id="a", content="r", is_error=True)
    await _is_there_again(
        open_store, lambda service, session_id: service.stage_tool_results(session_id, (result,))
    )


async def what_was_set_is_there_again(open_store: OpenStore) -> None:
    """8.3: keep_alive, authority, filter, and who answers."""
    authority = MobToolAuthorityContext(principal_token="p", managed_mob_scope=("m",))  # noqa: S106
    identity = SessionLlmIdentity(
        model="gpt-9", provider="openai", self_hosted_server_id="r", provider_params={"seed": 7}
    )

    async def change(service: PersistentSessionService, session_id: str) -> None:
        await service.update_session_keep_alive(session_id, keep_alive=True)
        await service.update_session_mob_authority_context(session_id, authority)
        await service.set_session_tool_filter(session_id, deny(["x"]))
        await service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), identity)

    await _is_there_again(open_store, change)


async def an_authority_that_was_taken_stays_taken(open_store: OpenStore) -> None:
    """An explicit nothing is kept as such (SVC-13)."""
    authority = MobToolAuthorityContext(principal_token="p")  # noqa: S106

    async def change(service: PersistentSessionService, session_id: str) -> None:
        await service.update_session_mob_authority_context(session_id, authority)
        await service.update_session_mob_authority_context(session_id, None)

    await _is_there_again(open_store, change)


async def written_context_is_there_again(open_store: OpenStore) -> None:
    """In the place of the System message that was there, and in front of what was said."""
    append = PendingAppend(text="red", source="ci", accepted_at=1)

    async def change(service: PersistentSessionService, session_id: str) -> None:
        for run in ("run-1", "run-2"):
            await service.apply_runtime_context_appends(session_id, run, (append,), ())
            await service.start_turn(session_id, a_turn())

    await _is_there_again(open_store, change, ScriptedLlm(["one", "two"]))


async def an_archive_is_there_again(open_store: OpenStore) -> None:
    """PER-7: the history stays, the session is not listed, and takes nothing any more."""

    async def change(service: PersistentSessionService, session_id: str) -> None:
        await service.start_turn(session_id, a_turn())
        await service.archive(session_id)

    await _is_there_again(open_store, change, ScriptedLlm(["one"]))


# -- and has its effect ------------------------------------------------------------------------


async def a_key_is_known_for_ever(open_store: OpenStore) -> None:
    """SES-21: over restarts, before its note was told and after it."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
        await service.append_system_context(session_id, "red", source="ci", idempotency_key="k")
    for _ in range(2):
        async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
            note = service.append_system_context
            same(await note(session_id, "red", source="ci", idempotency_key="k"), "duplicate")
            with refuses(SystemContextConflict):
                await note(session_id, "green", source="ci", idempotency_key="k")
            await service.start_turn(session_id, a_turn())


async def a_note_is_told_after_a_restart(open_store: OpenStore) -> None:
    """To the next run, once."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
        await service.append_system_context(session_id, "red")
    llm = ScriptedLlm(["one", "two"])
    for wanted in (True, False):
        async with sessions_in(open_store, llm) as service:
            await service.start_turn(session_id, a_turn())
            same("red" in llm.requests[-1].system_context, wanted, "whether it was told")


async def what_was_staged_runs_after_a_restart(open_store: OpenStore) -> None:
    """DEF-1, EPH-21: prompt and results, once; and the window is open until then (DEF-2)."""
    async with sessions_in(open_store) as service:
        request = a_request("kept", defer=True, stage=True, system_prompt="early")
        session_id = (await service.create_session(request)).session_id
        result = ToolResult(tool_use_id="a", content="r")
        await service.stage_tool_results(session_id, (result,))
    first = StartTurnRequest(prompt="hi", system_prompt="late")
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        await service.start_turn(session_id, first)
    wanted = [("system", "late"), ("tools", ""), ("user", "kept\n\nhi"), ("model", "one")]
    async with sessions_in(open_store, ScriptedLlm(["two"])) as service:
        same(await said(service, session_id), wanted, "the transcript")
        with refuses(SessionUnsupported):
            await service.start_turn(session_id, first)
        await service.start_turn(session_id, a_turn("again"))
        same((await said(service, session_id))[4:], [("user", "again"), ("model", "two")])


async def a_run_that_waits_for_results_waits_over_a_restart(open_store: OpenStore) -> None:
    """W10: with what the tools beside it gave back; it goes on when the rest is in."""
    tools = (callback_tool(ECHO.definition), a_tool_that_echoes("other"))
    script = ScriptedLlm([call("echo", text="a") & call("other", text="b")])
    async with sessions_in(open_store, script) as service:
        session_id = await a_session(service, tools=tools)
        with refuses(CallbackPending) as refused:
            await service.start_turn(session_id, a_turn())
    resume = StartTurnRequest(execution_kind="resume_pending")
    async with sessions_in(open_store) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=tools))
        with refuses(CallbackPending):
            await service.start_turn(session_id, resume)
        result = ToolResult(tool_use_id=refused.error.tool_use_id, content="mine")
        await service.stage_tool_results(session_id, (result,))
    async with sessions_in(open_store, ScriptedLlm(["done"])) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=tools))
        same((await service.start_turn(session_id, resume)).text, "done", "the answer")
        messages = (await service.read_history(session_id)).messages
        results = messages[-2].results if isinstance(messages[-2], ToolResults) else ()
        same([r.content for r in results], ["mine", '{"text":"b"}'], "the results")


async def what_a_hook_made_of_an_answer_is_what_is_kept(open_store: OpenStore) -> None:
    """4.3: also over what a checkpoint kept before; every receipt can be made anew."""

    async def change(_: HookCall) -> RunResultPatch:
        return RunResultPatch(text="final")

    hook = Hook(id="editor", point="run_completed", run=change, capability="rewrite")
    options = SessionBuildOptions(session_id="mine", hooks=(hook,), external_tools=(ECHO,))
    script = ScriptedLlm(["draft", call("echo", x=1) & say("draft"), ""])
    async with sessions_in(open_store, script) as service:
        request = msgspec.structs.replace(a_request(defer=True), build=options)
        await service.create_session(request)
        for run in ("run-1", "run-2"):
            applied = await service.apply_runtime_turn("mine", run, a_turn(), "run_start", ())
            same("" if applied.result is None else applied.result.text, "final", "the result")
        before = await said(service, "mine")
        same([text for who, text in before if who == "model"], ["final", "final", ""], "answers")
    async with sessions_in(open_store) as service:
        same(await said(service, "mine"), before, "the transcript after a restart")
        checks = verify_receipts(await service.read_facts("mine"))
        same([check.agrees for check in checks], [True, True], "the receipts")


async def a_session_does_not_go_on_without_its_hooks(open_store: OpenStore) -> None:
    """What they guard would pass. Given again they are asked; others may come with them."""
    asked: list[str] = []

    async def look(told: HookCall) -> None:
        asked.append(told.session_id)

    hook = Hook(id="guard", point="run_started", run=look)
    options = SessionBuildOptions(session_id="mine", hooks=(hook,))
    async with sessions_in(open_store) as service:
        request = msgspec.structs.replace(a_request(defer=True), build=options)
        await service.create_session(request)
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        with refuses(SessionUnsupported):
            await service.start_turn("mine", a_turn())
        same(asked, [], "who was asked")
        other = msgspec.structs.replace(hook, id="other")
        await service.resume_session("mine", RecoveryOverrides(hooks=(hook, other)))
        await service.start_turn("mine", a_turn())
        same(asked, ["mine", "mine"], "who was asked")
        fork = await service.fork_session("mine")
        await service.start_turn(fork, a_turn())
        same(asked[2:], [fork, fork], "who was asked for the fork")


async def a_budget_holds_after_a_restart(open_store: OpenStore) -> None:
    """What the session has consumed counts on; what a run may is as it was."""
    budget = BudgetLimits(max_tool_calls=1)
    options = SessionBuildOptions(
        session_id="mine", session_budget=budget, external_tools=(ECHO,), call_timeout_override=5
    )
    request = msgspec.structs.replace(a_request(defer=True), build=options)
    async with sessions_in(open_store, ScriptedLlm([call("echo")])) as service:
        await service.create_session(request)
        same((await service.start_turn("mine", a_turn())).tool_calls, 1, "calls")
    llm = ScriptedLlm([])
    async with sessions_in(open_store, llm) as service:
        await service.resume_session("mine", RecoveryOverrides(external_tools=(ECHO,)))
        same((await service.start_turn("mine", a_turn())).turns, 0, "model calls")
        build = BUILD_STATE.read((await service.export_session("mine")).metadata)
        stored = None if build is None else (build.session_budget, build.call_timeout_override)
        same(stored, (budget, 5), "what is stored")
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        budget = BudgetLimits(max_tool_calls=9)
        more = RecoveryOverrides(session_budget=budget, external_tools=(ECHO,))
        await service.resume_session("mine", more)
        same((await service.start_turn("mine", a_turn())).text, "one", "the answer")


async def a_filter_is_in_force_after_a_restart(open_store: OpenStore) -> None:
    """PER-11: what was staged is active with the first call."""
    tools = (ECHO, a_tool_that_echoes("other"))
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=tools)
        await service.set_session_tool_filter(session_id, deny(["echo"]))
    llm = ScriptedLlm(["one"])
    async with sessions_in(open_store, llm) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=tools))
        await service.start_turn(session_id, a_turn())
        same([tool.name for tool in llm.requests[0].tools], ["other"], "what the model saw")


async def the_swapped_identity_answers_after_a_restart(open_store: OpenStore) -> None:
    """PER-12, ours: a swap is a durable fact."""
    identity = SessionLlmIdentity(model="gpt-9", provider="openai", provider_params={"seed": 7})
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
        await service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), identity)
    llm = ScriptedLlm(["one"])
    async with sessions_in(open_store, llm) as service:
        await service.start_turn(session_id, a_turn())
        asked = (llm.requests[0].model, dict(llm.requests[0].provider_params))
        same(asked, ("gpt-9", {"seed": 7}), "who was asked")


async def an_authority_outlives_a_session_that_only_rests(open_store: OpenStore) -> None:
    """8.3: set on a stored session, it is the one that a later life has."""
    authority = MobToolAuthorityContext(principal_token="p", can_create_mobs=True)  # noqa: S106
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    async with sessions_in(open_store) as service:
        await service.update_session_mob_authority_context(session_id, authority)
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        await service.start_turn(session_id, a_turn())
        metadata = (await service.export_session(session_id)).metadata
        build = BUILD_STATE.read(metadata)
        found = None if build is None else build.mob_tool_authority_context
        same(found, authority, "the authority")


async def a_limit_of_turns_outlives_a_restart(open_store: OpenStore) -> None:
    """The options of its creation hold for every life of a session."""
    async with sessions_in(open_store) as service:
        request = a_request(defer=True, max_turns=0)
        session_id = (await service.create_session(request)).session_id
    async with sessions_in(open_store) as service:
        same((await service.start_turn(session_id, a_turn())).turns, 0, "turns of the run")


async def the_first_life_s_metadata_stay(open_store: OpenStore) -> None:
    """A life that says nothing new changes nothing of what the session says of itself."""
    async with sessions_in(open_store) as service:
        options = SessionBuildOptions(session_id="mine", realm_id="mob:team", keep_alive=True)
        request = CreateSessionRequest(
            model="gpt-9", max_tokens=77, initial_turn="defer", build=options
        )
        await service.create_session(request)
        before = (await service.export_session("mine")).metadata
    async with sessions_in(open_store) as service:
        await service.resume_session("mine")
        after = (await service.export_session("mine")).metadata
        same(SESSION_METADATA.read(after), SESSION_METADATA.read(before), "the metadata")
        same(dict(after), dict(before), "all of it")


async def a_tool_that_was_loaded_is_there_after_a_restart(open_store: OpenStore) -> None:
    """TS-6: the model asked for it once."""
    tools = tuple(
        msgspec.structs.replace(a_tool_that_echoes(name), deferred=True) for name in ("a", "b")
    )
    async with sessions_in(
        open_store, ScriptedLlm([call("tool_catalog_load", names=["b"]), "one"])
    ) as service:
        session_id = await a_session(service, tools=tools)
        await service.start_turn(session_id, a_turn())
    llm = ScriptedLlm(["two"])
    async with sessions_in(open_store, llm) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=tools))
        await service.start_turn(session_id, a_turn())
        shown = [tool.name for tool in llm.requests[0].tools]
        same(shown, ["tool_catalog_search", "tool_catalog_load", "b"], "what the model saw")


async def an_answer_s_form_is_asked_for_after_a_restart(open_store: OpenStore) -> None:
    """4.5: it is the session's, with the number of attempts."""
    form = output_of({"type": "integer"}, name="n")
    options = SessionBuildOptions(
        session_id="mine", output_schema=form, structured_output_retries=1
    )
    request = CreateSessionRequest(model="scripted", initial_turn="defer", build=options)
    async with sessions_in(open_store) as service:
        await service.create_session(request)
    async with sessions_in(open_store, ScriptedLlm(["one", "1", "two", "none"])) as service:
        result = await service.start_turn("mine", a_turn())
        same(result.structured_output, 1, "the answer")
        with refuses(StructuredOutputValidationFailed):
            await service.start_turn("mine", a_turn())


async def a_compacted_history_is_there_after_a_restart(open_store: OpenStore) -> None:
    """CMP-3, CMP-6: shorter, with its cadence, and every receipt can still be made anew."""
    policy = CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=2)
    options = SessionBuildOptions(session_id="mine", compaction=policy)
    request = CreateSessionRequest(model="scripted", initial_turn="defer", build=options)
    async with sessions_in(open_store, ScriptedLlm(["one", "short", "two", "three"])) as service:
        await service.create_session(request)
        for n in range(3):
            inputs = (f"input-{n}",)
            await service.apply_runtime_turn("mine", f"run-{n}", a_turn(), "run_start", inputs)
        before, heard = await service.export_session("mine"), await said(service, "mine")
        same(len(heard), 5, "messages: a summary, and two runs")
    llm = ScriptedLlm(["shorter", "four", "five"])
    async with sessions_in(open_store, llm) as service:
        same((await service.export_session("mine")).metadata, before.metadata, "its metadata")
        same(await said(service, "mine"), heard, "the messages")
        told = await service.read_discarded("mine")
        gone = [text_of_message(message) for message in told.messages] if told else []
        same(gone, ["go on", "one"], "what was taken out")
        for _ in range(2):
            await service.start_turn("mine", a_turn())
        cadence = COMPACTION_CADENCE.read((await service.export_session("mine")).metadata)
        wanted = CompactionCadence(session_boundary_index=5, last_compaction_boundary_index=3)
        same(cadence, wanted, "the cadence")
        checks = verify_receipts(await service.read_facts("mine"))
        same([check.agrees for check in checks], [True, True, True], "the receipts")
