"""Tools from functions: what the model sees of them, and what their calls become."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob import tool
from meerkat_mob.agent import ToolSet
from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome, tool_error
from meerkat_mob.errors import InvalidParams, StoreFailed, ToolFailed
from meerkat_mob.llm import call
from tests import strategies
from tests.agent.kit import a_bench

IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the world."""

    city: str
    country: str = "NL"


@tool
async def weather(
    place: Place,
    days: Annotated[int, msgspec.Meta(ge=1, le=7)] = 1,
    unit: Literal["C", "F"] = "C",
) -> str:
    """Looks at the sky.

    More than a glance.

    Args:
        place: Where, as people
            write it.
        days (int): How far ahead.

    Returns:
        What it looks like.
    """
    return f"{place.city}, {place.country}: {days} days in {unit}"


async def result_of(made: Tool, **args: Json) -> ToolOutcome:
    name = made.definition.name
    return await ToolSet([made]).dispatch(
        ToolCall(id="call-1", name=name, args=encode_arguments(args))
    )


# -- what the model sees -----------------------------------------------------------------------


def test_its_schema_is_that_of_its_parameters() -> None:
    """Constraints from Meta, words from the docstring, which beats nothing that is there."""
    definition = weather.definition
    assert definition.name == "weather"
    assert definition.description == "Looks at the sky.\n\nMore than a glance."
    properties = definition.input_schema["properties"]
    assert isinstance(properties, dict)
    assert definition.input_schema["required"] == ["place"]
    days = properties["days"]
    assert isinstance(days, dict)
    assert {k: days[k] for k in ("type", "minimum", "maximum", "default", "description")} == {
        "type": "integer",
        "minimum": 1,
        "maximum": 7,
        "default": 1,
        "description": "How far ahead.",
    }
    place = properties["place"]
    assert isinstance(place, dict)
    assert place["description"] == "Where, as people write it."
    unit = properties["unit"]
    assert isinstance(unit, dict)
    assert unit["enum"] == ["C", "F"]


def test_it_may_be_named_and_described_otherwise() -> None:
    @tool(name="sky", description="Up there.")
    def anything(said: Annotated[str, msgspec.Meta(description="Its own words.")]) -> str:
        """What it was.

        Args:
            said: Other words.
        """
        return said

    assert (anything.definition.name, anything.definition.description) == ("sky", "Up there.")
    said = anything.definition.input_schema["properties"]
    assert isinstance(said, dict)
    shown = said["said"]
    assert isinstance(shown, dict)
    assert shown["description"] == "Its own words."


# -- what a call becomes -----------------------------------------------------------------------


async def test_arguments_arrive_as_what_was_annotated() -> None:
    outcome = await result_of(weather, place={"city": "Delft"}, days=3)
    assert outcome == ToolOutcome(content="Delft, NL: 3 days in C")


async def test_arguments_that_do_not_fit_reach_nobody_and_each_fault_is_told() -> None:
    outcome = await result_of(weather, place={"town": "Delft"}, days=9, unit="K")
    assert outcome.is_error
    told = str(outcome.content)
    assert "invalid_arguments" in told
    for fault in ("place.town", "weather.days", "weather.unit"):
        assert fault in told


@dataclass
class Report:
    at: datetime
    lines: list[str]


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        (None, "done"),
        (3, "3"),
        ([], "[]"),
        ({"a": [1]}, '{"a":[1]}'),
        (Place(city="Delft"), '{"city":"Delft","country":"NL"}'),
        (Report(at=NOON, lines=["x"]), '{"at":"2030-01-01T12:00:00Z","lines":["x"]}'),
        (IMAGE, (IMAGE,)),
        ([TextBlock(text="see"), IMAGE], (TextBlock(text="see"), IMAGE)),
        (tool_error("access_denied", "no"), tool_error("access_denied", "no").content),
    ],
)
async def test_what_it_gives_back_is_a_result(value: object, content: object) -> None:
    @tool
    def give() -> object:
        return value

    assert (await result_of(give)).content == content


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ToolFailed("there is no such town"), "tool_error"),
        (StoreFailed(path="disk", why="full"), "execution_failed"),
        (ValueError("no"), "execution_failed"),
        (TimeoutError("its own"), "execution_failed"),
    ],
)
async def test_what_it_raises_is_an_error_that_its_model_reads(error: Exception, code: str) -> None:
    @tool
    async def give() -> str:
        raise error

    outcome = await result_of(give)
    assert outcome.is_error
    assert msgspec.json.decode(str(outcome.content))["error"] == code


async def test_what_json_cannot_say_is_an_error() -> None:
    @tool
    def give() -> object:
        return object()

    assert (await result_of(give)).is_error


async def test_it_may_ask_for_the_call_itself() -> None:
    @tool
    async def who(given: ToolCall, name: str) -> str:
        return f"{given.id}: {name}"

    properties = who.definition.input_schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["name"]
    assert (await result_of(who, name="ann")).content == "call-1: ann"


async def test_a_default_is_the_same_for_every_call() -> None:
    @tool
    def collect(seen: list[str] = []) -> int:  # noqa: B006 that is what is tested
        seen.append("x")
        return len(seen)

    assert [(await result_of(collect)).content for _ in range(2)] == ["1", "1"]


async def test_a_member_s_model_calls_it() -> None:
    bench = a_bench([call("weather", place={"city": "Delft"}), "fine"], weather)
    assert (await bench.agent.run("go")).text == "fine"
    assert [r.content for r in bench.results] == ["Delft, NL: 1 days in C"]


# -- time and number ---------------------------------------------------------------------------


@pytest.mark.virtual_only
async def test_a_call_that_takes_too_long_is_cut_off() -> None:
    ended: list[str] = []

    @tool(timeout=2.5)
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("x")
        return ""

    outcome = await result_of(slow)
    assert msgspec.json.decode(str(outcome.content))["error"] == "timeout"
    assert (asyncio.get_running_loop().time(), ended) == (2.5, ["x"])


@pytest.mark.virtual_only
async def test_of_more_calls_than_it_takes_the_others_wait() -> None:
    now, most = 0, 0

    @tool(limit=2)
    async def busy() -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1
        return "done"

    await asyncio.gather(*(result_of(busy) for _ in range(5)))
    assert (most, asyncio.get_running_loop().time()) == (2, 3)


def test_one_tool_serves_one_loop_after_another() -> None:
    @tool(limit=1)
    async def busy() -> str:
        await asyncio.sleep(0)
        return "done"

    async def both() -> None:
        await asyncio.gather(result_of(busy), result_of(busy))

    for _ in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(both())
        loop.close()


# -- what cannot be a tool ---------------------------------------------------------------------


def with_rest(*args: str) -> str:
    return str(args)


def with_others(**args: str) -> str:
    return str(args)


def by_place(said: str, /) -> str:
    return said


def unsaid(said: str) -> str:
    return said


unsaid.__annotations__ = {"return": str}


def strange(said: Callable[[], None]) -> str:
    return str(said)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (with_rest, "with_rest.args: a model gives arguments by name"),
        (with_others, "with_others.args: a model gives arguments by name"),
        (by_place, "by_place.said: a model gives arguments by name"),
        (unsaid, "unsaid.said: nothing says what it is"),
        (strange, "take types that msgspec can decode"),
    ],
)
def test_it_is_refused_where_it_is_decorated(function: Callable[..., object], told: str) -> None:
    with pytest.raises(InvalidParams) as refusal:
        tool(function)
    assert told in str(refusal.value)


def test_a_limit_lets_something_run() -> None:
    with pytest.raises(InvalidParams, match="no call could run"):
        tool(limit=0)(with_nothing)


def with_nothing() -> str:
    return ""


# -- whatever a model says ---------------------------------------------------------------------


@given(strategies.json_objects)
async def test_a_function_gets_what_it_asks_for_or_is_not_called(args: dict[str, Json]) -> None:
    seen: list[object] = []

    @tool
    def note(a: int, b: list[str] | None = None, c: float = 0.5) -> str:
        seen.extend((a, b, c))
        return "ok"

    outcome = await result_of(note, **args)
    if outcome.is_error:
        assert seen == []
        assert "invalid_arguments" in str(outcome.content)
    else:
        assert msgspec.convert(seen, tuple[int, list[str] | None, float]) == tuple(seen)


@given(st.integers(-(2**63), 2**64 - 1), st.none() | st.lists(st.text(alphabet="ab")))
async def test_what_fits_arrives(a: int, b: list[str] | None) -> None:
    seen: list[object] = []

    @tool
    def note(a: int, b: list[str] | None = None) -> str:
        seen.extend((a, b))
        return "ok"

    outcome = await result_of(note, a=a, b=None if b is None else list(b))
    assert not outcome.is_error
    assert seen == [a, b]


def test_a_tool_may_be_deferred() -> None:
    @tool(deferred=True)
    def later() -> None:
        """Later."""

    @tool
    def now() -> None:
        """Now."""

    assert (later.deferred, now.deferred) == (True, False)
