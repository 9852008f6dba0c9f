"""The rules of flows, topology and supervisor (spec mob 1.12): roles, dependencies, shapes.

Pure graph checks over a definition; nothing is run and no schema is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

import msgspec

from meerkat_mob.mob.definition.diagnostics import Diagnostic, error, warning
from meerkat_mob.mob.definition.flow import (
    FlowSpec,
    FlowStepSpec,
    FrameSpec,
    LoopNode,
    Quorum,
    StepNode,
)
from meerkat_mob.mob.definition.model import MobDefinition

MAX_DEPTH: Final = 32
"""The longest chain of dependent steps, and the deepest nesting of frames."""


def check_flows(definition: MobDefinition) -> Iterator[Diagnostic]:
    """Every finding about supervisor, topology and flows, in the author's order."""
    roles = frozenset(definition.roles)
    supervisor, topology = definition.supervisor, definition.topology
    if supervisor is not None and supervisor.role not in roles:
        message = f"the supervisor's role {supervisor.role!r} does not exist"
        yield error("flow_unknown_role", "supervisor.role", message)
    for i, rule in enumerate(topology.rules if topology is not None else ()):
        for side, role in (("from_role", rule.from_role), ("to_role", rule.to_role)):
            if role not in roles and role != "*":
                message = f"the role {role!r} does not exist; '*' is any role"
                yield error("topology_unknown_role", f"topology.rules[{i}].{side}", message)
    for flow_id, flow in definition.flows.items():
        place = f"flows.{flow_id}"
        for step_id, step in flow.steps.items():
            yield from _check_step(flow, roles, step, f"{place}.steps.{step_id}")
        yield from _check_branches(flow, f"{place}.steps")
        yield from _check_order(flow, f"{place}.steps")
        if flow.root is not None:
            yield from _check_root(flow, flow.root, f"{place}.root")


def _check_step(
    flow: FlowSpec, roles: frozenset[str], step: FlowStepSpec, place: str
) -> Iterator[Diagnostic]:
    if step.role not in roles:
        yield error("flow_unknown_role", f"{place}.role", f"the role {step.role!r} does not exist")
    yield from _check_needs(step.depends_on, flow.steps, f"{place}.depends_on", "step")
    if isinstance(step.collection_policy, Quorum) and step.collection_policy.n == 0:
        message = "a quorum of 0 is always reached: ask for at least 1"
        yield error("quorum_invalid", f"{place}.collection_policy.n", message)
    if step.depends_on_mode == "any" and not any(
        flow.steps[need].branch for need in step.depends_on if need in flow.steps
    ):
        message = "it waits for any of its dependencies, and none of them is in a branch"
        yield warning("branch_join_without_branch", f"{place}.depends_on_mode", message)


def _check_needs(
    needs: Sequence[str], known: Mapping[str, object], place: str, what: str
) -> Iterator[Diagnostic]:
    for need in needs:
        if need not in known:
            yield error("flow_unknown_step", place, f"the {what} {need!r} does not exist here")


def _check_branches(flow: FlowSpec, place: str) -> Iterator[Diagnostic]:
    branches: dict[str, list[str]] = {}
    for step_id, step in flow.steps.items():
        if step.branch is not None:
            branches.setdefault(step.branch, []).append(step_id)
    for branch, members in branches.items():
        if len(members) < 2:
            message = f"the branch {branch!r} has one step: a choice needs two"
            yield error("branch_group_empty", place, message)
        first = frozenset(flow.steps[members[0]].depends_on)
        for step_id in members:
            step = flow.steps[step_id]
            if step.condition is None:
                message = f"a step of the branch {branch!r} says when it is taken: add a condition"
                yield error(
                    "branch_step_missing_condition", f"{place}.{step_id}.condition", message
                )
            if frozenset(step.depends_on) != first:
                message = f"all steps of the branch {branch!r} depend on the same steps"
                yield error(
                    "branch_step_conflicting_deps", f"{place}.{step_id}.depends_on", message
                )


def _check_order(flow: FlowSpec, place: str) -> Iterator[Diagnostic]:
    needs = {step_id: step.depends_on for step_id, step in flow.steps.items()}
    order = _order(needs)
    if order is None:
        yield error("flow_cycle_detected", place, "the steps depend on each other in a circle")
        return
    depth: dict[str, int] = {}
    for step_id in order:
        depth[step_id] = 1 + max((depth[n] for n in needs[step_id] if n in depth), default=0)
    deepest = max(depth.values(), default=0)
    if deepest > MAX_DEPTH:
        message = f"{deepest} steps wait for each other in a chain; {MAX_DEPTH} is the limit"
        yield error("flow_depth_exceeded", place, message)


def _order(needs: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Ids after everything they need; None for a circle. Unknown ids are left out."""
    known = {name: [n for n in some if n in needs] for name, some in needs.items()}
    try:
        return list(TopologicalSorter(known).static_order())
    except CycleError:
        return None


# -- frames ------------------------------------------------------------------------------------


class _Seen(msgspec.Struct):
    """Ids of a whole frame tree: loops and steps are keyed by them, so each exists once."""

    steps: set[str] = msgspec.field(default_factory=set[str])
    loops: set[str] = msgspec.field(default_factory=set[str])


def _check_root(flow: FlowSpec, root: FrameSpec, place: str) -> Iterator[Diagnostic]:
    seen = _Seen()
    yield from _check_frame(flow, root, place, seen, 0)
    omitted = [step_id for step_id in flow.steps if step_id not in seen.steps]
    if omitted:
        names = ", ".join(repr(s) for s in omitted)
        yield error("flow_unknown_step", place, f"no node runs the steps {names}: add them")


def _check_frame(
    flow: FlowSpec, frame: FrameSpec, place: str, seen: _Seen, depth: int
) -> Iterator[Diagnostic]:
    if depth > MAX_DEPTH:
        message = f"frames are nested more than {MAX_DEPTH} deep"
        yield error("flow_depth_exceeded", place, message)
        return
    for node_id, node in frame.nodes.items():
        here = f"{place}.nodes.{node_id}"
        match node:
            case StepNode():
                yield from _check_step_node(flow, node, here, seen)
            case LoopNode():
                yield from _check_loop(node, here, seen)
                yield from _check_frame(flow, node.body, f"{here}.body", seen, depth + 1)
        yield from _check_needs(node.depends_on, frame.nodes, f"{here}.depends_on", "node")
    if _order({node_id: node.depends_on for node_id, node in frame.nodes.items()}) is None:
        yield error("flow_cycle_detected", place, "the nodes depend on each other in a circle")


def _check_step_node(
    flow: FlowSpec, node: StepNode, place: str, seen: _Seen
) -> Iterator[Diagnostic]:
    if node.step_id in seen.steps:
        message = f"the step {node.step_id!r} is run by another node too: each has one place"
        yield error("flow_cycle_detected", f"{place}.step_id", message)
    seen.steps.add(node.step_id)
    if node.step_id not in flow.steps:
        message = f"the step {node.step_id!r} does not exist in this flow"
        yield error("flow_unknown_step", f"{place}.step_id", message)


def _check_loop(node: LoopNode, place: str, seen: _Seen) -> Iterator[Diagnostic]:
    if node.loop_id in seen.loops:
        message = f"another loop is called {node.loop_id!r}: each loop of a flow has its own name"
        yield error("flow_cycle_detected", f"{place}.loop_id", message)
    seen.loops.add(node.loop_id)
    if node.max_iterations == 0:
        message = "a loop of 0 iterations does nothing: allow at least 1"
        yield error("quorum_invalid", f"{place}.max_iterations", message)
