"""Whatever a definition says, its document says the same, under the names of 0.5 and 0.8."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.content import TextBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.mob.definition import (
    And,
    AutoSpawn,
    BackendConfig,
    CollectAll,
    CollectAny,
    ConditionExpr,
    DirectorySkill,
    Eq,
    EventRouter,
    ExternalBackend,
    FlowNode,
    FlowSpec,
    FlowStepSpec,
    FrameSpec,
    Gt,
    In,
    InlineSkill,
    Limits,
    LoopNode,
    Lt,
    McpServer,
    MobDefinition,
    NoSpawnPolicy,
    Not,
    Or,
    Orchestrator,
    PathSkill,
    Profile,
    Quorum,
    RealmRef,
    RoleWiring,
    StepNode,
    Supervisor,
    ToolConfig,
    Topology,
    TopologyRule,
    Wiring,
    decode_source,
    definition_json,
    encode_definition,
    parse_definition,
    restore_definition,
    validate,
)

text = st.text(max_size=6)
counts = st.none() | st.integers(0, 2**32 - 1)
names = st.lists(text, max_size=3).map(tuple)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
json_objects = st.none() | st.dictionaries(text, json_values, max_size=3)


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(text, values, max_size=2)


conditions: st.SearchStrategy[ConditionExpr] = st.recursive(
    st.builds(Eq, path=text, value=json_values)
    | st.builds(In, path=text, values=st.lists(json_values, max_size=2).map(tuple))
    | st.builds(Gt, path=text, value=json_values)
    | st.builds(Lt, path=text, value=json_values),
    lambda inner: (
        st.builds(And, exprs=st.lists(inner, max_size=2).map(tuple))
        | st.builds(Or, exprs=st.lists(inner, max_size=2).map(tuple))
        | st.builds(Not, expr=inner)
    ),
    max_leaves=4,
)
modes = st.sampled_from(["all", "any"])
nodes: st.SearchStrategy[FlowNode] = st.recursive(
    st.builds(
        StepNode, step_id=text, depends_on=names, depends_on_mode=modes, branch=st.none() | text
    ),
    lambda inner: st.builds(
        LoopNode,
        loop_id=text,
        body=st.builds(FrameSpec, nodes=some(inner)),
        until=conditions,
        max_iterations=st.integers(0, 9),
        depends_on=names,
        depends_on_mode=modes,
    ),
    max_leaves=3,
)
steps = st.builds(
    FlowStepSpec,
    role=text,
    message=text | st.lists(st.builds(TextBlock, text=text), max_size=2).map(tuple),
    depends_on=names,
    dispatch_mode=st.sampled_from(["fan_out", "one_to_one", "fan_in"]),
    collection_policy=st.just(CollectAll())
    | st.just(CollectAny())
    | st.builds(Quorum, n=st.integers(0, 255)),
    condition=st.none() | conditions,
    timeout_ms=st.none() | st.integers(0, 2**62),
    expected_schema_ref=st.none() | text,
    branch=st.none() | text,
    depends_on_mode=modes,
    allowed_tools=st.none() | names,
    blocked_tools=st.none() | names,
    output_format=st.sampled_from(["json", "text"]),
)
profiles = st.builds(
    Profile,
    model=st.text(min_size=1, max_size=6),
    skills=names,
    tools=st.builds(
        ToolConfig,
        shell=st.booleans(),
        comms=st.booleans(),
        mob_tasks=st.booleans(),
        mcp=names,
        rust_bundles=names,
    ),
    peer_description=text,
    external_addressable=st.booleans(),
    backend=st.none() | st.sampled_from(["session", "external"]),
    runtime_mode=st.sampled_from(["autonomous_host", "turn_driven"]),
    max_inline_peer_notifications=st.none() | st.integers(-3, 9),
    output_schema=json_objects,
    provider_params=json_objects,
)
references = st.dictionaries(
    st.just("kept by the realm"), st.builds(RealmRef, realm_profile=text), max_size=1
)
definitions = st.builds(
    MobDefinition,
    id=text,
    orchestrator=st.none() | st.builds(Orchestrator, profile=text),
    profiles=some(profiles),
    realm_profiles=references,
    mcp_servers=some(st.builds(McpServer, command=names, url=st.none() | text, env=some(text))),
    wiring=st.builds(
        Wiring,
        auto_wire_orchestrator=st.booleans(),
        role_wiring=st.lists(st.builds(RoleWiring, a=text, b=text), max_size=2).map(tuple),
    ),
    skills=some(
        st.builds(InlineSkill, content=text)
        | st.builds(PathSkill, path=text)
        | st.builds(DirectorySkill, path=text, files=some(text))
    ),
    backend=st.builds(
        BackendConfig,
        default=st.sampled_from(["session", "external"]),
        external=st.none() | st.builds(ExternalBackend, address_base=text),
    ),
    flows=some(
        st.builds(
            FlowSpec,
            description=st.none() | text,
            steps=some(steps),
            root=st.none() | st.builds(FrameSpec, nodes=some(nodes)),
        )
    ),
    topology=st.none()
    | st.builds(
        Topology,
        mode=st.sampled_from(["advisory", "strict"]),
        rules=st.lists(
            st.builds(TopologyRule, from_role=text, to_role=text, allowed=st.booleans()),
            max_size=2,
        ).map(tuple),
    ),
    supervisor=st.none() | st.builds(Supervisor, role=text, escalation_threshold=st.integers(0, 9)),
    limits=st.none() | st.builds(Limits, max_step_retries=counts, max_frame_depth=counts),
    spawn_policy=st.none()
    | st.just(NoSpawnPolicy())
    | st.builds(AutoSpawn, profile_map=some(text)),
    event_router=st.none()
    | st.builds(EventRouter, include_patterns=st.none() | names, exclude_patterns=st.none()),
    owner_session_id=st.none() | text,
    session_cleanup_policy=st.sampled_from(["manual", "destroy_on_owner_archive"]),
    is_implicit=st.booleans(),
)


@given(definitions)
def test_what_was_encoded_decodes_to_the_same(definition: MobDefinition) -> None:
    encoded = encode_definition(definition)
    assert parse_definition(encoded) == definition
    assert parse_definition(encoded, compat="0.5") == definition
    assert restore_definition(encoded) == definition


@given(definitions)
def test_any_definition_can_be_validated(definition: MobDefinition) -> None:
    assert validate(definition) == validate(definition)


@given(definitions)
def test_a_definition_also_survives_as_a_plain_struct(definition: MobDefinition) -> None:
    decoder = msgspec.json.Decoder(MobDefinition)
    assert decoder.decode(msgspec.json.encode(definition)) == definition


@given(json_values)
def test_no_document_makes_decoding_raise(document: Json) -> None:
    decode_source(json.dumps({"id": "m", "profiles": document, "flows": document}))


def test_the_document_has_the_names_and_nulls_that_others_expect() -> None:
    definition = MobDefinition(
        id="m",
        profiles={"a": Profile(model="x")},
        realm_profiles={"b": RealmRef(realm_profile="r")},
        skills={"s": PathSkill(path="s.md", tried="/somewhere/s.md")},
        flows={"f": FlowSpec(steps={"s": FlowStepSpec(role="a", message="go")})},
    )
    assert definition_json(definition) == {
        "id": "m",
        "orchestrator": None,
        "profiles": {
            "a": {
                "model": "x",
                "skills": [],
                "tools": {
                    "builtins": False,
                    "shell": False,
                    "comms": False,
                    "memory": False,
                    "mob": False,
                    "mob_tasks": False,
                    "schedule": False,
                    "mcp": [],
                    "rust_bundles": [],
                },
                "peer_description": "",
                "external_addressable": False,
                "backend": None,
                "runtime_mode": "autonomous_host",
                "max_inline_peer_notifications": None,
                "output_schema": None,
                "provider_params": None,
            },
            "b": {"realm_profile": "r"},
        },
        "mcp_servers": {},
        "wiring": {"auto_wire_orchestrator": False, "role_wiring": []},
        "skills": {"s": {"source": "path", "path": "s.md"}},
        "backend": {"default": "session", "external": None},
        "flows": {
            "f": {
                "description": None,
                "steps": {
                    "s": {
                        "role": "a",
                        "message": "go",
                        "depends_on": [],
                        "dispatch_mode": "fan_out",
                        "collection_policy": {"type": "all"},
                        "condition": None,
                        "timeout_ms": None,
                        "expected_schema_ref": None,
                        "branch": None,
                        "depends_on_mode": "all",
                        "allowed_tools": None,
                        "blocked_tools": None,
                        "output_format": "text",
                    }
                },
                "root": None,
            }
        },
        "topology": None,
        "supervisor": None,
        "limits": None,
        "spawn_policy": None,
        "event_router": None,
        "is_implicit": False,
    }


def test_what_a_host_keeps_is_in_the_document_when_it_is_said() -> None:
    definition = MobDefinition(
        id="m", owner_session_id="s", session_cleanup_policy="destroy_on_owner_archive"
    )
    document = definition_json(definition)
    assert document["owner_session_id"] == "s"
    assert document["session_cleanup_policy"] == "destroy_on_owner_archive"
