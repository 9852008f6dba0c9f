"""Hooks as data: reading them, laying them over each other, and making hooks of them (HK-6)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob._target import IN_BROWSER
from meerkat_mob.agent.configured_hooks import hooks_of
from meerkat_mob.core.hook_config import (
    Command,
    CommandConfig,
    HookEntry,
    HookOverrides,
    HooksConfig,
    HooksLayer,
    Http,
    HttpConfig,
    InProcess,
    InProcessConfig,
    layered,
    read_hook_overrides,
    read_hooks,
)
from meerkat_mob.core.hooks import Deny, Hook, HookAnswer, HookCall
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import CapabilityUnavailable, HookDenied, InvalidParams, MeerkatError
from tests.agent.kit import a_bench


async def look(_: HookCall) -> HookAnswer:
    return None


async def refuse(_: HookCall) -> HookAnswer:
    return Deny(message="no")


def an_entry(name: str, **more: object) -> HookEntry:
    runtime = InProcess(config=InProcessConfig(name="look"))
    entry = HookEntry(id=name, point="run_started", runtime=runtime)
    return msgspec.structs.replace(entry, **more)


def ids(config: HooksConfig) -> list[str]:
    return [entry.id for entry in config.entries]


# -- reading -----------------------------------------------------------------------------------


def test_a_layer_is_read_as_it_is_written() -> None:
    data: Json = {
        "default_timeout_ms": 900,
        "entries": [
            {
                "id": "audit",
                "point": "run_completed",
                "mode": "background",
                "runtime": {"type": "command", "config": {"command": "audit", "args": ["-v"]}},
            },
            {
                "id": "policy",
                "enabled": False,
                "point": "pre_tool_execution",
                "capability": "guardrail",
                "priority": 1,
                "failure_policy": "fail_open",
                "timeout_ms": 50,
                "runtime": {
                    "type": "http",
                    "config": {"url": "http://localhost/x", "headers": {"a": "b"}},
                },
            },
        ],
    }
    assert read_hooks(data) == HooksLayer(
        default_timeout_ms=900,
        entries=(
            HookEntry(
                id="audit",
                point="run_completed",
                mode="background",
                runtime=Command(config=CommandConfig(command="audit", args=("-v",))),
            ),
            HookEntry(
                id="policy",
                enabled=False,
                point="pre_tool_execution",
                capability="guardrail",
                priority=1,
                failure_policy="fail_open",
                timeout_ms=50,
                runtime=Http(config=HttpConfig(url="http://localhost/x", headers={"a": "b"})),
            ),
        ),
    )


def test_every_fault_is_told_with_its_place() -> None:
    data: Json = {
        "payload_max_bytes": 0,
        "entrys": [],
        "entries": [
            {"id": "", "point": "run_start", "runtime": {"type": "cmd", "config": {}}},
            {"id": "b", "point": "run_started", "runtime": {"type": "http"}},
        ],
    }
    with pytest.raises(InvalidParams) as refused:
        read_hooks(data)
    told = str(refused.value)
    for place in (
        "hooks.payload_max_bytes: expected an integer of at least 1",
        "hooks.entrys: unknown key 'entrys'; did you mean 'entries'?",
        "hooks.entries[0].id: must not be empty",
        "hooks.entries[0].point: expected one of",
        "hooks.entries[0].runtime.type: expected one of 'in_process', 'command', 'http'",
        "hooks.entries[1].runtime.config: 'config' is missing",
    ):
        assert place in told


@pytest.mark.parametrize(
    "data", [None, [], "x", {"disable": [""]}, {"disable": "a"}, {"enable": []}]
)
def test_overrides_that_are_none_are_refused_with_their_place(data: object) -> None:
    with pytest.raises(InvalidParams, match=r"^hooks_override"):
        read_hook_overrides(data)


names = st.sampled_from("abcdef")
runtimes = st.sampled_from(
    [
        InProcess(config=InProcessConfig(name="look")),
        Command(config=CommandConfig(command="x", args=("y",), env={"k": "v"})),
        Http(config=HttpConfig(url="http://localhost", method="PUT")),
    ]
)
entries = st.lists(
    st.builds(
        HookEntry,
        id=names,
        point=st.sampled_from(["run_started", "run_completed"]),
        runtime=runtimes,
        enabled=st.booleans(),
        priority=st.integers(-3, 3),
        timeout_ms=st.just(msgspec.UNSET) | st.integers(1, 9),
    ),
    max_size=4,
    unique_by=lambda entry: entry.id,
).map(tuple)
numbers = st.just(msgspec.UNSET) | st.integers(1, 9)
layers = st.builds(
    HooksLayer,
    default_timeout_ms=numbers,
    payload_max_bytes=numbers,
    background_max_concurrency=numbers,
    entries=entries,
)


@given(layers, entries, st.lists(names, max_size=2).map(tuple))
def test_what_is_written_is_read_again(
    layer: HooksLayer, more: tuple[HookEntry, ...], disable: tuple[str, ...]
) -> None:
    """8.5: the round trip of a configuration, and of overrides."""
    assert read_hooks(msgspec.json.decode(msgspec.json.encode(layer))) == layer
    overrides = HookOverrides(entries=more, disable=disable)
    written = msgspec.json.decode(msgspec.json.encode(overrides))
    assert read_hook_overrides(written) == overrides


# -- layers ------------------------------------------------------------------------------------


def test_nothing_said_is_the_defaults() -> None:
    assert layered() == layered(HooksLayer(), HooksLayer()) == HooksConfig()
    assert HooksConfig() == HooksConfig(
        default_timeout_ms=5000,
        payload_max_bytes=131_072,
        background_max_concurrency=32,
        entries=(),
    )


def test_the_project_comes_behind_the_user_and_the_request_behind_both() -> None:
    config = layered(
        HooksLayer(default_timeout_ms=1, payload_max_bytes=1, entries=(an_entry("a"),)),
        HooksLayer(default_timeout_ms=2, entries=(an_entry("b"), an_entry("c"))),
        overrides=HookOverrides(entries=(an_entry("d"),), disable=("b",)),
    )
    assert ids(config) == ["a", "c", "d"]
    assert (config.default_timeout_ms, config.payload_max_bytes) == (2, 1)


def test_an_entry_takes_the_place_of_the_one_below_with_its_id() -> None:
    off = an_entry("a", enabled=False)
    config = layered(HooksLayer(entries=(an_entry("a"), an_entry("b"))), HooksLayer(entries=(off,)))
    assert config.entries == (off, an_entry("b"))
    assert [hook.id for hook in hooks_of(config, {"look": look})] == ["b"]


def test_a_request_can_put_another_hook_in_the_place_of_one() -> None:
    other = an_entry("a", priority=1)
    overrides = HookOverrides(disable=("a",), entries=(other,))
    config = layered(HooksLayer(entries=(an_entry("a"), an_entry("b"))), overrides=overrides)
    assert config.entries == (an_entry("b"), other)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (HookOverrides(disable=("polcy",)), "did you mean 'policy'?"),
        (HookOverrides(disable=("policy", "policy")), "no hook has the id 'policy'"),
        (HookOverrides(entries=(an_entry("policy"),)), "a hook has the id 'policy' already"),
        (HookOverrides(entries=(an_entry("x"), an_entry("x"))), "two hooks have the id 'x'"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides: HookOverrides, told: str) -> None:
    """A guardrail that a typing error leaves on, or off, would be found out too late."""
    with pytest.raises(InvalidParams, match=r"^hooks_override") as refused:
        layered(HooksLayer(entries=(an_entry("policy"),)), overrides=overrides)
    assert told in str(refused.value)


def test_an_id_that_is_twice_in_a_layer_is_refused() -> None:
    with pytest.raises(InvalidParams, match=r"^hooks\.entries: two hooks have the id 'a'"):
        layered(HooksLayer(entries=(an_entry("a"), an_entry("a"))))


# -- hooks of it -------------------------------------------------------------------------------


async def test_hooks_of_a_configuration_are_asked() -> None:
    config = layered(HooksLayer(entries=(an_entry("a", capability="guardrail"),)))
    bench = a_bench([], hooks=hooks_of(config, {"look": refuse}))
    with pytest.raises(HookDenied):
        await bench.agent.run("go")


def test_what_an_entry_does_not_say_is_said_by_its_layers() -> None:
    said = an_entry("said", timeout_ms=7, priority=3, mode="background")
    config = HooksConfig(
        default_timeout_ms=11, background_max_concurrency=2, entries=(said, an_entry("not"))
    )
    assert hooks_of(config, {"look": look}) == (
        Hook(
            id="said",
            point="run_started",
            run=look,
            mode="background",
            priority=3,
            timeout_ms=7,
            background_limit=2,
        ),
        Hook(id="not", point="run_started", run=look, timeout_ms=11, background_limit=2),
    )


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (an_entry("a", mode="background", capability="guardrail"), "hooks.a.capability"),
        (an_entry("a", capability="rewrite"), "hooks.a.capability"),
        (an_entry("a", mode="background", failure_policy="fail_closed"), "hooks.a.failure_policy"),
        (
            an_entry("a", runtime=InProcess(config=InProcessConfig(name="lok"))),
            "hooks.a.runtime.config.name",
        ),
    ],
)
def test_what_could_never_work_is_refused_with_its_place(entry: HookEntry, place: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        hooks_of(HooksConfig(entries=(entry,)), {"look": look})
    assert refused.value.path == place


@pytest.mark.parametrize(
    "runtime",
    [
        Command(config=CommandConfig(command="audit")),
        Http(config=HttpConfig(url="http://localhost:1/")),
    ],
)
def test_programs_and_servers_are_hooks_on_the_host_only(runtime: Command | Http) -> None:
    config = HooksConfig(entries=(an_entry("a", runtime=runtime),))
    if IN_BROWSER:
        with pytest.raises(CapabilityUnavailable):
            hooks_of(config)
    else:
        (hook,) = hooks_of(config)
        assert (hook.id, hook.point) == ("a", "run_started")
    off = HooksConfig(entries=(an_entry("a", runtime=runtime, enabled=False),))
    assert hooks_of(off) == ()  # what is off need not be there


def test_an_entry_without_its_function_names_those_there_are() -> None:
    with pytest.raises(MeerkatError, match="given are: none"):
        hooks_of(HooksConfig(entries=(an_entry("a"),)))
