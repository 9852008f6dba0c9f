"""Flows as data: steps that depend on each other, frames of nodes, loops (spec mob 1.8).

Steps and nodes keep the order in which their author wrote them. Nothing here runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import Meta

from meerkat_mob.core.content import Content
from meerkat_mob.core.jsonvalue import Json

DispatchMode: TypeAlias = Literal["fan_out", "one_to_one", "fan_in"]
DependencyMode: TypeAlias = Literal["all", "any"]
OutputFormat: TypeAlias = Literal["json", "text"]

U8: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=4_294_967_295)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]

# -- how the answers of a step's targets are collected -----------------------------------------


class CollectAll(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="all"):
    """Every target must answer."""


class CollectAny(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="any"):
    """The first answer is the step's output."""


class Quorum(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="quorum"):
    """``n`` answers are enough."""

    n: U8


CollectionPolicy: TypeAlias = CollectAll | CollectAny | Quorum

# -- conditions --------------------------------------------------------------------------------


class Eq(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="eq"):
    """The value at ``path`` is ``value``, by JSON type and value."""

    path: str
    value: Json


class In(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="in"):
    """The value at ``path`` is one of ``values``."""

    path: str
    values: tuple[Json, ...]


class Gt(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="gt"):
    """The number or text at ``path`` comes after ``value``."""

    path: str
    value: Json


class Lt(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="lt"):
    """The number or text at ``path`` comes before ``value``."""

    path: str
    value: Json


class And(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="and"):
    """All of them; true when there is none."""

    exprs: tuple[ConditionExpr, ...]


class Or(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="or"):
    """At least one of them; false when there is none."""

    exprs: tuple[ConditionExpr, ...]


class Not(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="not"):
    """The opposite; true when the path leads nowhere."""

    expr: ConditionExpr


ConditionExpr: TypeAlias = Eq | In | Gt | Lt | And | Or | Not

# -- steps -------------------------------------------------------------------------------------

_BY_SCHEMA: Final = cast("OutputFormat", "")
"""Not a format: ``FlowStepSpec`` replaces it as soon as it exists."""


class FlowStepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One step: who is asked, what, after which others, and what an answer must look like.

    ``timeout_ms`` absent means 30,000. ``expected_schema_ref`` is a JSON schema as text, or the
    path of a file that holds one. An ``output_format`` that is not said is json if there is a
    schema, else text.
    """

    role: str
    message: Content
    depends_on: tuple[str, ...] = ()
    dispatch_mode: DispatchMode = "fan_out"
    collection_policy: CollectionPolicy = CollectAll()
    condition: ConditionExpr | None = None
    timeout_ms: Count | None = None
    expected_schema_ref: str | None = None
    branch: str | None = None
    depends_on_mode: DependencyMode = "all"
    allowed_tools: tuple[str, ...] | None = None
    blocked_tools: tuple[str, ...] | None = None
    output_format: OutputFormat = _BY_SCHEMA

    def __post_init__(self) -> None:
        if self.output_format == _BY_SCHEMA:
            chosen = "text" if self.expected_schema_ref is None else "json"
            msgspec.structs.force_setattr(self, "output_format", chosen)


# -- frames: a flow with loops -----------------------------------------------------------------


class StepNode(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="step"):
    """A place in a frame where a step runs. Dependencies are nodes of the same frame."""

    step_id: str
    depends_on: tuple[str, ...] = ()
    depends_on_mode: DependencyMode = "all"
    branch: str | None = None


class LoopNode(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="repeat_until"):
    """A frame that is run again until a condition holds, ``max_iterations`` times at most."""

    loop_id: str
    body: FrameSpec
    until: ConditionExpr
    max_iterations: U32
    depends_on: tuple[str, ...] = ()
    depends_on_mode: DependencyMode = "all"


FlowNode: TypeAlias = StepNode | LoopNode


class FrameSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes by id, in the author's order."""

    nodes: Mapping[str, FlowNode]


class FlowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named piece of work. Without ``root`` the steps' own dependencies order them."""

    description: str | None = None
    steps: Mapping[str, FlowStepSpec] = {}
    root: FrameSpec | None = None
