"""Names and ids that a provider would refuse have another spelling on the wire, and there alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.client import LlmToolCallComplete, LlmToolCallDelta
from meerkat_mob.llm.dialect import DialectName
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.spelling import respelt, short_id, spelt_id, spelt_name, truly
from tests.llm.every_dialect import EVERY
from tests.llm.kit import results, said, tool, use, user

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STRANGE = ("git.status", "größe", "x" * 65, "a b", "", "9lives", "-x", "\ud800", ".", "a:b/c")
"""Names that some provider refuses."""
_NAMES = st.one_of(st.text(max_size=80), st.sampled_from(STRANGE), st.from_regex(r"[a-z._]{60,70}"))


@given(st.lists(_NAMES, unique=True, max_size=9))
def test_any_name_has_one_spelling_that_everybody_takes_and_shares_it_with_none(
    names: list[str],
) -> None:
    for spell, pattern in ((spelt_name, NAME), (spelt_id, ID)):
        spelt = [spell(name) for name in names]
        assert spelt == [spell(name) for name in names]
        assert all(pattern.fullmatch(one) for one in spelt)
        assert len({*spelt}) == len(names)
        assert [spell(one) for one in spelt] == spelt
    short = [short_id(name, 40) for name in names]
    assert all(0 < len(one) <= 40 for one in short)
    assert len({*short}) == len(names)


@pytest.mark.parametrize("name", ["look", "_look", "a-b_c9", "x" * 64])
def test_what_everybody_takes_stays_as_it_is(name: str) -> None:
    assert (spelt_name(name), spelt_id(name)) == (name, name)
    assert respelt([tool(name)]) == {}


def test_an_id_that_somebody_takes_stays_as_it_is_for_them() -> None:
    assert short_id("call:1/ü", 40) == "call:1/ü"


# -- in requests ----------------------------------------------------------------------------------


def strings_in(value: Json, *keys: str) -> Iterator[str]:
    """All that stands under one of these keys, anywhere."""
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key in keys and isinstance(one, str))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from strings_in(one, *keys)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("name", [name for name in STRANGE if name != "\ud800"])
def test_a_request_has_none_that_would_be_refused(dialect: DialectName, name: str) -> None:
    """Neither of a tool that there is nor of one that a model has made up, long ago."""
    call = f"call.{name}" * 9
    request = LlmRequest(
        model="gpt-5.2",
        messages=(user("x"), said("", use(call, name)), results({call: "y"})),
        tools=(tool(name),),
    )
    body = msgspec.json.decode(DIALECTS[dialect].translation().body(request))
    names = [*strings_in(body, "name")]
    assert len(names) >= 2
    assert {*names} == {spelt_name(name)}
    if dialect in {"anthropic", "responses"}:
        ids = [*strings_in(body, "id", "tool_use_id", "call_id")]
        assert len(ids) == 2
        assert {*ids} == {spelt_id(call)}


def test_a_call_is_told_by_the_true_name_of_its_tool() -> None:
    names = respelt([tool("git.status"), tool("look")])
    assert names == {spelt_name("git.status"): "git.status"}
    for name, true in ((spelt_name("git.status"), "git.status"), ("look", "look")):
        whole = LlmToolCallComplete(id="1", name=name, args="{}")
        part = LlmToolCallDelta(id="1", args_delta="{}", name=name)
        assert truly(whole, names) == msgspec.structs.replace(whole, name=true)
        assert truly(part, names) == msgspec.structs.replace(part, name=true)
    assert truly(LlmToolCallDelta(id="1", args_delta="{}"), names) == LlmToolCallDelta(
        id="1", args_delta="{}"
    )
