"""A toolbox takes all of what it is given, or nothing."""

from collections.abc import Callable

import pytest

from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.errors import InvalidParams
from meerkat_mob.testing.builders import a_tool_that_echoes

A, B, C = (a_tool_that_echoes(name) for name in "abc")


def names(box: Toolbox) -> str:
    return "".join(tool.definition.name for tool in box.tools)


def test_tools_are_there_in_the_order_in_which_they_came() -> None:
    box = Toolbox([B])
    box.add(A, C)
    assert names(box) == "bac"
    box.remove("a")
    box.add(A)
    assert names(box) == "bca"


def test_a_name_is_there_once_and_the_rest_of_the_call_has_not_happened() -> None:
    box = Toolbox([A])
    before = box.revision
    with pytest.raises(InvalidParams, match="two tools are named 'a'"):
        box.add(B, A)
    with pytest.raises(InvalidParams, match="two tools are named 'b'"):
        box.add(B, B)
    with pytest.raises(InvalidParams, match="no tool 'b'; there are: a"):
        box.remove("a", "b")
    with pytest.raises(InvalidParams, match="there are: none"):
        Toolbox().remove("a")
    assert (names(box), box.revision) == ("a", before)


def test_its_revision_grows_with_each_change_and_only_then() -> None:
    box = Toolbox()
    seen = [box.revision]
    changes: tuple[Callable[[], None], ...] = (
        lambda: box.add(A),
        lambda: box.remove("a"),
        lambda: box.say("files", "pending"),
        lambda: box.say("files", "connected"),
        lambda: box.say("files", None),
    )
    for change in changes:
        change()
        assert box.revision > seen[-1]
        seen.append(box.revision)
    box.add()
    box.remove()
    box.say("files", None)
    assert box.revision == seen[-1]
    assert box.sources == {}
