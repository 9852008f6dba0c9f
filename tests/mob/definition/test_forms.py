"""Every way in which 0.5 and 0.8 write a team, and what each of them means here."""

import pytest

from meerkat_mob.core.content import TextBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.mob.definition import (
    And,
    AutoSpawn,
    CollectAny,
    Eq,
    FlowStepSpec,
    InlineSkill,
    LoopNode,
    McpServer,
    MobDefinition,
    NoSpawnPolicy,
    Not,
    Orchestrator,
    PathSkill,
    Profile,
    Quorum,
    RealmRef,
    StepNode,
    ToolConfig,
    decode_source,
    parse_definition,
    restore_definition,
    validate,
)

TEAM = """
[mob]
id = "pond"
orchestrator = "heron"

[profiles.heron]
model = "some-model"
skills = ["calm", "deep"]
peer_description = "Decides"
external_addressable = true
runtime_mode = "turn_driven"
max_inline_peer_notifications = -1
provider_params = { effort = "low", nested = { list = [1, 2.5, true] } }

[profiles.heron.tools]
builtins = true
comms = true
mob = true
mob_tasks = true
mcp = ["weather"]

[profiles.frog]
realm_profile = "frog-of-the-realm"

[mcp.weather]
command = ["weather", "--stdio"]
env = { CITY = "Oslo" }

[mcp.tides]
url = "https://example.invalid/tides"

[wiring]
auto_wire_orchestrator = true

[[wiring.role_wiring]]
a = "frog"
b = "frog"

[skills.calm]
source = "inline"
content = "Stay calm."

[skills.deep]
source = "path"
path = "skills/deep.md"
"""


def test_toml_says_all_of_a_conversation_team() -> None:
    definition = parse_definition(TEAM)
    assert definition == MobDefinition(
        id="pond",
        orchestrator=Orchestrator(profile="heron"),
        profiles={
            "heron": Profile(
                model="some-model",
                skills=("calm", "deep"),
                peer_description="Decides",
                external_addressable=True,
                runtime_mode="turn_driven",
                max_inline_peer_notifications=-1,
                provider_params={"effort": "low", "nested": {"list": [1, 2.5, True]}},
                tools=ToolConfig(
                    builtins=True, comms=True, mob=True, mob_tasks=True, mcp=("weather",)
                ),
            )
        },
        realm_profiles={"frog": RealmRef(realm_profile="frog-of-the-realm")},
        mcp_servers={
            "weather": McpServer(command=("weather", "--stdio"), env={"CITY": "Oslo"}),
            "tides": McpServer(url="https://example.invalid/tides"),
        },
        wiring=definition.wiring,
        skills={
            "calm": InlineSkill(content="Stay calm."),
            "deep": PathSkill(path="skills/deep.md"),
        },
    )
    assert definition.wiring.auto_wire_orchestrator
    assert [(r.a, r.b) for r in definition.wiring.role_wiring] == [("frog", "frog")]
    assert definition.roles == ("heron", "frog")
    assert validate(definition) == []


@pytest.mark.parametrize(
    "written",
    [
        '[mob]\nid = "m"\norchestrator = "a"',
        '[mob]\nid = "m"\n[mob.orchestrator]\nprofile = "a"',
        'id = "m"\norchestrator = "a"',
        '{"id": "m", "orchestrator": "a"}',
        '{"id": "m", "orchestrator": {"profile": "a"}}',
        '{"mob": {"id": "m", "orchestrator": "a"}}',
    ],
)
def test_the_orchestrator_is_a_name_or_a_table_in_both_syntaxes(written: str) -> None:
    expected = MobDefinition(id="m", orchestrator=Orchestrator(profile="a"))
    assert parse_definition(written) == expected


def test_an_explicit_null_is_absent_everywhere() -> None:
    document: dict[str, Json] = {
        "id": "m",
        "orchestrator": None,
        "profiles": {
            "a": {
                "model": "x",
                "skills": None,
                "tools": {"mcp": None, "shell": None},
                "backend": None,
                "output_schema": None,
                "max_inline_peer_notifications": None,
            }
        },
        "mcp_servers": None,
        "wiring": None,
        "flows": {"f": {"steps": {"s": {"role": "a", "message": "x", "output_format": None}}}},
        "topology": None,
        "limits": {"max_step_retries": None},
        "spawn_policy": None,
        "event_router": None,
        "mob": None,
        "backend": {"default": "session", "external": None},
    }
    decoded = decode_source(document)
    assert decoded.diagnostics == ()
    assert decoded.definition is not None
    assert decoded.definition.profiles == {"a": Profile(model="x")}
    assert decoded.definition.flows["f"].steps["s"].output_format == "text"


@pytest.mark.parametrize(("said", "mode"), [("true", "autonomous_host"), ("false", "turn_driven")])
def test_host_mode_of_old_becomes_the_runtime_mode(said: str, mode: str) -> None:
    text = f'[mob]\nid = "m"\n[profiles.a]\nmodel = "x"\nhost_mode = {said}'
    assert parse_definition(text).profiles["a"].runtime_mode == mode


def test_a_realm_reference_is_a_role_of_its_own() -> None:
    definition = parse_definition({"id": "m", "profiles": {"a": {"realm_profile": "r"}}})
    assert definition.profiles == {}
    assert definition.bindings == {"a": RealmRef(realm_profile="r")}


PIPELINE = """
[mob]
id = "mill"

[profiles.miller]
model = "x"

[flows.grind]
description = "From corn to flour"

[flows.grind.steps.weigh]
role = "miller"
message = "Weigh {{ params.corn }}"
dispatch_mode = "one_to_one"

[flows.grind.steps.coarse]
role = "miller"
message = "a"
depends_on = ["weigh"]
branch = "grain"
condition = { op = "eq", path = "params.grain", value = "coarse" }

[flows.grind.steps.fine]
role = "miller"
message = "b"
depends_on = ["weigh"]
branch = "grain"
condition = { op = "not", expr = { op = "and", exprs = [{ op = "eq", path = "x", value = 1 }] } }

[flows.grind.steps.bag]
role = "miller"
message = [{ type = "text", text = "Bag it" }]
depends_on = ["coarse", "fine"]
depends_on_mode = "any"
collection_policy = { type = "quorum", n = 1 }
timeout_ms = 1000
expected_schema_ref = '{"type": "object"}'
allowed_tools = ["bag"]

[topology]
mode = "strict"
rules = [{ from_role = "miller", to_role = "*", allowed = true }]

[supervisor]
role = "miller"
escalation_threshold = 2

[limits]
max_flow_duration_ms = 30000
max_step_retries = 1

[spawn_policy]
mode = "auto"
profile_map = { miller = "miller" }

[event_router]
include_patterns = ["step_*"]
"""


def test_toml_says_all_of_a_flow_team_and_steps_keep_their_order() -> None:
    definition = parse_definition(PIPELINE)
    steps = definition.flows["grind"].steps
    assert list(steps) == ["weigh", "coarse", "fine", "bag"]
    assert steps["weigh"] == FlowStepSpec(
        role="miller", message="Weigh {{ params.corn }}", dispatch_mode="one_to_one"
    )
    assert steps["fine"].condition == Not(expr=And(exprs=(Eq(path="x", value=1),)))
    assert steps["bag"].message == (TextBlock(text="Bag it"),)
    assert steps["bag"].collection_policy == Quorum(n=1)
    assert steps["bag"].allowed_tools == ("bag",)
    assert definition.spawn_policy == AutoSpawn(profile_map={"miller": "miller"})
    assert definition.event_router is not None
    assert definition.event_router.buffer_size == 256
    assert validate(definition) == []


def test_a_frame_flow_keeps_its_nodes_in_order_and_dependencies_may_be_left_out() -> None:
    until: Json = {"op": "gt", "path": "loops.l.iterations.0.steps.b.score", "value": 3}
    root: Json = {
        "nodes": {
            "z": {"kind": "step", "step_id": "a"},
            "y": {
                "kind": "repeat_until",
                "loop_id": "l",
                "depends_on": ["z"],
                "max_iterations": 3,
                "until": until,
                "body": {"nodes": {"n": {"kind": "step", "step_id": "b", "branch": None}}},
            },
        }
    }
    steps: Json = {s: {"role": "r", "message": s} for s in "ab"}
    definition = parse_definition(
        {
            "id": "m",
            "profiles": {"r": {"model": "x"}},
            "flows": {"f": {"steps": steps, "root": root}},
        }
    )
    frame = definition.flows["f"].root
    assert frame is not None
    assert list(frame.nodes) == ["z", "y"]
    assert frame.nodes["z"] == StepNode(step_id="a")
    assert isinstance(frame.nodes["y"], LoopNode)
    assert frame.nodes["y"].depends_on == ("z",)
    assert validate(definition) == []


def with_step(**fields: Json) -> dict[str, Json]:
    steps: Json = {"s": {"role": "a", "message": "x", **fields}}
    return {"id": "m", "profiles": {"a": {"model": "x"}}, "flows": {"f": {"steps": steps}}}


@pytest.mark.parametrize(
    ("fields", "newer", "older"),
    [
        ({}, "text", "json"),
        ({"expected_schema_ref": "s.json"}, "json", "json"),
        ({"output_format": "text", "expected_schema_ref": "s.json"}, "text", "text"),
        ({"output_format": "json"}, "json", "json"),
    ],
)
def test_a_step_answers_in_json_if_it_has_a_schema_or_by_the_rule_of_old(
    fields: dict[str, Json], newer: str, older: str
) -> None:
    document = with_step(**fields)
    assert parse_definition(document).flows["f"].steps["s"].output_format == newer
    old = parse_definition(document, compat="0.5")
    assert old.flows["f"].steps["s"].output_format == older


def test_a_step_made_by_hand_follows_the_same_rule() -> None:
    assert FlowStepSpec(role="a", message="x").output_format == "text"
    assert FlowStepSpec(role="a", message="x", expected_schema_ref="{}").output_format == "json"


def test_the_newer_form_without_task_board_and_servers_is_read() -> None:
    text = """
image_generation_provider = "some"

[mob]
id = "newer"

[models.preview]
provider = "some"
context_window = 500000

[profiles.lead]
model = "preview"
provider = "openai"
self_hosted_server_id = "rack"
auto_compact_threshold = 60000
resume_overrides = ["model"]
auth_binding = { kind = "x" }

[profiles.lead.tools]
comms = true
read_only = true
image_generation = true
workgraph = true
mcp = ["server-of-the-host"]

[backend.external]
address_base = "tcp://x"
supervisor_bridge = { bind_address = "127.0.0.1:0" }

[supervisor]
role = "lead"
escalation_threshold = 1
escalation_turn_timeout_ms = 5

[limits]
max_turn_duration = 60

[flows.main.steps.a]
role = "lead"
message = "{{ params.prompt }}"
collection_policy = { type = "any" }
failure_policy = "continue"

[flows.main.root.nodes.a]
kind = "step"
step_id = "a"
failure_policy = "continue"
"""
    decoded = decode_source(text)
    assert decoded.definition is not None
    asked = decoded.definition.profiles["lead"].identities()[0]
    assert (asked.provider, asked.self_hosted_server_id) == ("openai", "rack")
    assert decoded.definition.flows["main"].steps["a"].collection_policy == CollectAny()
    assert {d.severity for d in decoded.diagnostics} == {"warning"}
    assert {d.code for d in decoded.diagnostics} == {"unsupported_field"}
    assert [d.location for d in decoded.diagnostics] == [
        "image_generation_provider",
        "models",
        "profiles.lead.auto_compact_threshold",
        "profiles.lead.resume_overrides",
        "profiles.lead.auth_binding",
        "profiles.lead.tools.read_only",
        "profiles.lead.tools.image_generation",
        "profiles.lead.tools.workgraph",
        "backend.external.supervisor_bridge",
        "supervisor.escalation_turn_timeout_ms",
        "limits.max_turn_duration",
        "flows.main.steps.a.failure_policy",
        "flows.main.root.nodes.a.failure_policy",
    ]
    assert [d.severity for d in validate(decoded.definition)] == ["warning"]


def test_a_toml_file_never_claims_what_only_a_host_may() -> None:
    text = 'is_implicit = true\nowner_session_id = "s"\n[mob]\nid = "m"'
    decoded = decode_source(text)
    assert decoded.definition == MobDefinition(id="m")
    assert [d.code for d in decoded.diagnostics] == ["unsupported_field"] * 2
    as_json = parse_definition({"id": "m", "is_implicit": True, "owner_session_id": "s"})
    assert as_json == MobDefinition(id="m", is_implicit=True, owner_session_id="s")


def test_no_spawn_policy_can_be_said_in_words() -> None:
    definition = parse_definition({"id": "m", "spawn_policy": {"mode": "none"}})
    assert definition.spawn_policy == NoSpawnPolicy()


def test_a_byte_order_mark_is_no_part_of_a_file() -> None:
    assert parse_definition(b'\xef\xbb\xbf[mob]\nid = "m"') == MobDefinition(id="m")


def test_a_stored_definition_of_another_version_is_read_without_what_it_adds() -> None:
    stored = b'{"id": "m", "invented_later": 1, "profiles": {"a": {"model": "x", "colour": "red"}}}'
    assert restore_definition(stored).profiles == {"a": Profile(model="x")}
