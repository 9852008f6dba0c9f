"""Which tools come with the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from meerkat_mob.agent.builtins import builtin_tools
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.errors import InvalidParams
from meerkat_mob.testing.builders import NEW_YEAR_2030, a_clock
from tests.agent.builtins.kit import PIXEL, a_patch, call_of, plant, value_of


def names(tools: tuple[Tool, ...]) -> list[str]:
    return [made.definition.name for made in tools]


def test_without_a_root_nothing_touches_files(tmp_path: Path) -> None:
    assert names(builtin_tools()) == ["datetime"]
    assert names(builtin_tools(root=tmp_path)) == ["datetime", "apply_patch", "view_image"]


async def test_they_work_with_the_clock_and_the_root_they_were_given(tmp_path: Path) -> None:
    plant(tmp_path, {"one.png": PIXEL})
    time, patch, view = builtin_tools(root=str(tmp_path), clock=a_clock())
    assert value_of(await call_of(time))["unix_ms"] == NEW_YEAR_2030
    value_of(await call_of(patch, patch=a_patch("*** Add File: a", "+b")))
    assert (tmp_path / "a").read_bytes() == b"b\n"
    assert not (await call_of(view, path="one.png")).is_error


def test_each_says_that_it_is_built_in_and_takes_an_object(tmp_path: Path) -> None:
    for made in builtin_tools(root=tmp_path):
        assert made.definition.provenance == ToolProvenance(kind="builtin", source_id="builtins")
        assert made.definition.input_schema["type"] == "object"
        assert made.definition.description


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match=r"^root: .* is no folder"):
        builtin_tools(root=tmp_path / "nowhere")
