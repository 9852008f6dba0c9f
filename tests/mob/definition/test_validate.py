"""The rules a whole definition keeps: one that is broken and one that is kept, each with places."""

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.mob.definition import (
    Diagnostic,
    decode_definition,
    ensure_valid,
    is_identifier,
    parse_definition,
    validate,
)


def team(**sections: Json) -> dict[str, Json]:
    """A valid definition of two profiles, with sections added or replaced."""
    profiles: dict[str, Json] = {"lead": {"model": "m"}, "worker": {"model": "m"}}
    return {"id": "team", "profiles": profiles, **sections}


def flow(steps: Json, **more: Json) -> dict[str, Json]:
    """The same with one flow."""
    return team(flows={"f": {"steps": steps, **more}})


def findings(document: dict[str, Json]) -> list[tuple[str, str | None, str]]:
    decoded = decode_definition(document)
    assert decoded.definition is not None
    assert decoded.diagnostics == ()
    return [(d.code, d.location, d.severity) for d in validate(decoded.definition)]


def step(**fields: Json) -> dict[str, Json]:
    return {"role": "lead", "message": "go", **fields}


IF: Json = {"op": "eq", "path": "params.x", "value": 1}
SKILLS: Json = {"known": {"source": "inline", "content": "x"}}
SERVERS: Json = {"known": {"url": "https://example.invalid/mcp"}}
EXTERNAL: Json = {"default": "external"}


def nested(depth: int) -> dict[str, Json]:
    """A loop whose body holds a loop, ``depth`` frames deep."""
    frame: dict[str, Json] = {"nodes": {}}
    for level in range(depth):
        loop: Json = {
            "kind": "repeat_until",
            "loop_id": f"loop-{level}",
            "until": IF,
            "max_iterations": 1,
            "body": frame,
        }
        frame = {"nodes": {"n": loop}}
    return frame


def chain(length: int) -> dict[str, Json]:
    return {f"s{i}": step(depends_on=[f"s{i - 1}"] if i else []) for i in range(length)}


def node(step_id: str, *needs: str) -> dict[str, Json]:
    return {"kind": "step", "step_id": step_id, "depends_on": list(needs)}


def loop(loop_id: str, max_iterations: int = 1, **nodes: Json) -> dict[str, Json]:
    body: Json = {"nodes": nodes}
    return {
        "kind": "repeat_until",
        "loop_id": loop_id,
        "until": IF,
        "max_iterations": max_iterations,
        "body": body,
    }


BROKEN: dict[str, tuple[dict[str, Json], list[tuple[str, str]]]] = {
    "no profile at all": ({"id": "team"}, [("empty_profiles", "profiles")]),
    "an orchestrator that does not exist": (
        team(orchestrator={"profile": "boss"}),
        [("missing_orchestrator_profile", "mob.orchestrator")],
    ),
    "profile names that are no identifiers": (
        team(profiles={"1st": {"model": "m"}, "a b": {"model": "m"}, "mob/x": {"model": "m"}}),
        [
            ("invalid_profile_name", "profiles.1st"),
            ("invalid_profile_name", "profiles.a b"),
            ("invalid_profile_name", "profiles.mob/x"),
        ],
    ),
    "a name of the flow engine": (
        team(profiles={"__flow_system_member__": {"model": "m"}}),
        [("reserved_system_identifier", "profiles.__flow_system_member__")],
    ),
    "a reference with a bad name": (
        team(profiles={"9": {"realm_profile": "r"}}),
        [("invalid_profile_name", "profiles.9")],
    ),
    "skills that do not exist": (
        team(profiles={"lead": {"model": "m", "skills": ["known", "x", "y"]}}, skills=SKILLS),
        [
            ("missing_skill_ref", "profiles.lead.skills[1]"),
            ("missing_skill_ref", "profiles.lead.skills[2]"),
        ],
    ),
    "an MCP server that does not exist": (
        team(
            profiles={"lead": {"model": "m", "tools": {"mcp": ["known", "x"]}}},
            mcp_servers=SERVERS,
        ),
        [("missing_mcp_ref", "profiles.lead.tools.mcp[1]")],
    ),
    "a threshold below -1": (
        team(profiles={"lead": {"model": "m", "max_inline_peer_notifications": -2}}),
        [
            (
                "invalid_inline_peer_notification_threshold",
                "profiles.lead.max_inline_peer_notifications",
            )
        ],
    ),
    "a base URL that is none, and a server beside it": (
        team(profiles={"a": {"model": "m", "base_url": "desk", "self_hosted_server_id": "d"}}),
        [("invalid_value", "profiles.a.base_url"), ("invalid_value", "profiles.a.base_url")],
    ),
    "wiring of profiles that do not exist": (
        team(wiring={"role_wiring": [{"a": "lead", "b": "worker"}, {"a": "x", "b": "y"}]}),
        [
            ("invalid_wiring_profile", "wiring.role_wiring[1].a"),
            ("invalid_wiring_profile", "wiring.role_wiring[1].b"),
        ],
    ),
    "an external default that is not described": (
        team(backend=EXTERNAL),
        [("missing_external_backend_config", "backend.external")],
    ),
    "an external profile that is not described": (
        team(profiles={"lead": {"model": "m", "backend": "external"}}),
        [("missing_external_backend_config", "backend.external")],
    ),
    "a blank external address": (
        team(backend={"default": "external", "external": {"address_base": " "}}),
        [("invalid_external_backend_config", "backend.external.address_base")],
    ),
    "a supervisor that does not exist": (
        team(supervisor={"role": "x", "escalation_threshold": 1}),
        [("flow_unknown_role", "supervisor.role")],
    ),
    "topology of roles that do not exist": (
        team(
            topology={
                "mode": "strict",
                "rules": [{"from_role": "x", "to_role": "y", "allowed": True}],
            }
        ),
        [
            ("topology_unknown_role", "topology.rules[0].from_role"),
            ("topology_unknown_role", "topology.rules[0].to_role"),
        ],
    ),
    "a step of a role that does not exist": (
        flow({"s": step(role="x")}),
        [("flow_unknown_role", "flows.f.steps.s.role")],
    ),
    "a step after one that does not exist": (
        flow({"s": step(depends_on=["x", "y"])}),
        [("flow_unknown_step", "flows.f.steps.s.depends_on")] * 2,
    ),
    "a quorum of nobody": (
        flow({"s": step(collection_policy={"type": "quorum", "n": 0})}),
        [("quorum_invalid", "flows.f.steps.s.collection_policy.n")],
    ),
    "a branch of one": (
        flow({"s": step(branch="b", condition=IF)}),
        [("branch_group_empty", "flows.f.steps")],
    ),
    "a branch step without a condition": (
        flow({"s": step(branch="b", condition=IF), "t": step(branch="b")}),
        [("branch_step_missing_condition", "flows.f.steps.t.condition")],
    ),
    "a branch whose steps begin after different ones": (
        flow(
            {
                "a": step(),
                "s": step(branch="b", condition=IF),
                "t": step(branch="b", condition=IF, depends_on=["a"]),
            }
        ),
        [("branch_step_conflicting_deps", "flows.f.steps.t.depends_on")],
    ),
    "steps in a circle": (
        flow({"s": step(depends_on=["t"]), "t": step(depends_on=["s"])}),
        [("flow_cycle_detected", "flows.f.steps")],
    ),
    "a step after itself": (
        flow({"s": step(depends_on=["s"])}),
        [("flow_cycle_detected", "flows.f.steps")],
    ),
    "a chain of 33 steps": (flow(chain(33)), [("flow_depth_exceeded", "flows.f.steps")]),
    "a frame that leaves out steps": (
        flow({"s": step(), "t": step()}, root={"nodes": {"n": node("s")}}),
        [("flow_unknown_step", "flows.f.root")],
    ),
    "a node of a step that does not exist": (
        flow({"s": step()}, root={"nodes": {"n": node("s"), "o": node("x")}}),
        [("flow_unknown_step", "flows.f.root.nodes.o.step_id")],
    ),
    "a node after one of another frame": (
        flow(
            {"s": step(), "t": step()},
            root={"nodes": {"n": node("s"), "l": loop("l", b=node("t", "n"))}},
        ),
        [("flow_unknown_step", "flows.f.root.nodes.l.body.nodes.b.depends_on")],
    ),
    "a loop after a node that does not exist": (
        flow({}, root={"nodes": {"l": {**loop("l"), "depends_on": ["x"]}}}),
        [("flow_unknown_step", "flows.f.root.nodes.l.depends_on")],
    ),
    "one step in two nodes": (
        flow({"s": step()}, root={"nodes": {"n": node("s"), "l": loop("l", o=node("s"))}}),
        [("flow_cycle_detected", "flows.f.root.nodes.l.body.nodes.o.step_id")],
    ),
    "two loops of one name": (
        flow({}, root={"nodes": {"a": loop("l"), "b": loop("l")}}),
        [("flow_cycle_detected", "flows.f.root.nodes.b.loop_id")],
    ),
    "nodes in a circle": (
        flow(
            {"s": step(), "t": step()},
            root={"nodes": {"n": node("s", "o"), "o": node("t", "n")}},
        ),
        [("flow_cycle_detected", "flows.f.root")],
    ),
    "nodes in a circle inside a loop": (
        flow({"s": step()}, root={"nodes": {"l": loop("l", n=node("s", "n"))}}),
        [("flow_cycle_detected", "flows.f.root.nodes.l.body")],
    ),
    "a loop of no iterations": (
        flow({}, root={"nodes": {"l": loop("l", max_iterations=0)}}),
        [("quorum_invalid", "flows.f.root.nodes.l.max_iterations")],
    ),
    "frames nested 33 deep": (
        flow({}, root=nested(33)),
        [("flow_depth_exceeded", "flows.f.root" + ".nodes.n.body" * 33)],
    ),
    "a blank id": (team(id="  "), [("invalid_mob_id", "mob.id")]),
    "an id that would break addresses": (team(id="a/b"), [("invalid_mob_id", "mob.id")]),
    "an id with a line break": (team(id="a\nb"), [("invalid_mob_id", "mob.id")]),
}

WARNED: dict[str, tuple[dict[str, Json], tuple[str, str]]] = {
    "a join of steps without a branch": (
        flow({"s": step(), "t": step(depends_on=["s"], depends_on_mode="any")}),
        ("branch_join_without_branch", "flows.f.steps.t.depends_on_mode"),
    ),
    "a skill where the definition has none": (
        team(profiles={"lead": {"model": "m", "skills": ["of-the-host"]}}),
        ("missing_skill_ref", "profiles.lead.skills[0]"),
    ),
    "an MCP server where the definition has none": (
        team(profiles={"lead": {"model": "m", "tools": {"mcp": ["of-the-host"]}}}),
        ("missing_mcp_ref", "profiles.lead.tools.mcp[0]"),
    ),
}

KEPT: dict[str, dict[str, Json]] = {
    "two profiles": team(),
    "a reference to a realm profile": team(profiles={"lead": {"realm_profile": "r"}}),
    "roles that are references": team(
        profiles={"lead": {"realm_profile": "r"}},
        orchestrator="lead",
        wiring={"role_wiring": [{"a": "lead", "b": "lead"}]},
        supervisor={"role": "lead", "escalation_threshold": 0},
    ),
    "every name an identifier": team(
        profiles={n: {"model": "m"} for n in ("a", "_a", "A-1", "a_b")}
    ),
    "skills and servers that exist": team(
        profiles={"lead": {"model": "m", "skills": ["known"], "tools": {"mcp": ["known"]}}},
        skills=SKILLS,
        mcp_servers=SERVERS,
    ),
    "thresholds": team(
        profiles={f"p{n}": {"model": "m", "max_inline_peer_notifications": n - 1} for n in range(3)}
    ),
    "a profile wired with itself": team(wiring={"role_wiring": [{"a": "lead", "b": "lead"}]}),
    "an external back end": team(
        backend={"default": "external", "external": {"address_base": "tcp://x"}}
    ),
    "any role": team(topology={"rules": [{"from_role": "*", "to_role": "*", "allowed": False}]}),
    "a chain of 32 steps": flow(chain(32)),
    "frames nested 32 deep": flow({}, root=nested(32)),
    "a quorum of one": flow({"s": step(collection_policy={"type": "quorum", "n": 1})}),
    "a choice and its join": flow(
        {
            "s": step(branch="b", condition=IF),
            "t": step(branch="b", condition=IF),
            "join": step(depends_on=["s", "t"], depends_on_mode="any"),
        }
    ),
    "a frame of every step": flow(
        {"s": step(), "t": step()},
        root={"nodes": {"n": node("s"), "l": {**loop("l", o=node("t")), "depends_on": ["n"]}}},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found_at_its_place(name: str) -> None:
    document, expected = BROKEN[name]
    assert findings(document) == [(code, place, "error") for code, place in expected]


@pytest.mark.parametrize("name", WARNED)
def test_what_may_be_meant_so_is_a_warning(name: str) -> None:
    document, (code, place) = WARNED[name]
    assert findings(document) == [(code, place, "warning")]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_not_found(name: str) -> None:
    assert findings(KEPT[name]) == []


def test_each_of_the_twenty_rules_is_broken_somewhere_above() -> None:
    broken = {code for _, expected in BROKEN.values() for code, _ in expected}
    warned = {code for _, (code, _) in WARNED.values()}
    assert len((broken | warned) - {"invalid_mob_id", "invalid_value"}) == 20


def test_all_findings_come_at_once_and_always_in_the_same_order() -> None:
    document = flow(
        {"s": step(role="x", depends_on=["y"])},
        root={"nodes": {}},
    )
    document |= {
        "orchestrator": "boss",
        "wiring": {"role_wiring": [{"a": "lead", "b": "x"}]},
        "backend": EXTERNAL,
        "supervisor": {"role": "x", "escalation_threshold": 1},
    }
    expected = [
        "missing_orchestrator_profile",
        "invalid_wiring_profile",
        "missing_external_backend_config",
        "flow_unknown_role",
        "flow_unknown_role",
        "flow_unknown_step",
        "flow_unknown_step",
    ]
    assert [code for code, _, _ in findings(document)] == expected
    assert findings(document) == findings(document)


def test_errors_refuse_and_carry_every_finding() -> None:
    document, _ = WARNED["a join of steps without a branch"]
    broken = parse_definition({**document, "orchestrator": "boss"})
    with pytest.raises(DefinitionInvalid) as refused:
        ensure_valid(broken)
    codes = [d.code for d in refused.value.diagnostics]
    assert codes == ["missing_orchestrator_profile", "branch_join_without_branch"]


def test_warnings_do_not_refuse_and_are_given_back() -> None:
    document, (code, _) = WARNED["a join of steps without a branch"]
    assert [d.code for d in ensure_valid(parse_definition(document))] == [code]


def test_a_finding_always_encodes_its_location() -> None:
    finding = Diagnostic(code="empty_profiles", message="x")
    assert msgspec.json.encode(finding) == (
        b'{"code":"empty_profiles","message":"x","location":null,"severity":"error"}'
    )


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("worker", True),
        ("_x", True),
        ("a-1_b", True),
        ("", False),
        ("1a", False),
        ("-a", False),
        ("a b", False),
        ("ä", False),
        ("a\n", False),
    ],
)
def test_an_identifier_begins_with_a_letter_or_underscore(name: str, is_one: bool) -> None:
    assert is_identifier(name) is is_one
