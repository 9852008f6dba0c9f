"""What is only true inside Pyodide: our wheel as micropip installed it, and the cut at fetch."""

import asyncio
import importlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

import meerkat_mob
from meerkat_mob._target import IN_BROWSER
from meerkat_mob.errors import CapabilityUnavailable

HOST_ONLY = (
    "meerkat_mob.agent.mcp",
    "meerkat_mob.surfaces.cli",
    "meerkat_mob.surfaces.http",
    "meerkat_mob.__main__",
)


def test_this_is_the_browser_s_interpreter() -> None:
    assert IN_BROWSER


def test_micropip_installed_our_wheel_from_the_folder_s_own_lock() -> None:
    import micropip

    installed = micropip.list()
    assert installed["meerkat-mob"].version == meerkat_mob.__version__
    assert {"meerkat-mob", "msgspec"} <= set(installed)
    home = Path(meerkat_mob.__file__)
    assert "site-packages" in home.parts, "the suite runs on the wheel, not on the source"
    assert metadata.version("meerkat-mob") == meerkat_mob.__version__


def modules_in_the_wheel() -> list[str]:
    files = [file for file in metadata.files("meerkat-mob") or () if file.suffix == ".py"]
    names = (".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)
    return sorted(name for name in names if not name.startswith(HOST_ONLY))


def test_every_module_of_the_wheel_imports_here() -> None:
    for name in modules_in_the_wheel():
        importlib.import_module(name)


def test_what_a_page_loads_pulls_in_neither_threads_nor_processes() -> None:
    importlib.import_module("meerkat_mob")
    assert {"subprocess", "multiprocessing", "click", "rich"} & set(_loaded_by_us()) == set()


def _loaded_by_us() -> list[str]:
    """Names that modules of ours hold, whoever else has loaded them."""
    ours = [module for name, module in sys.modules.items() if name.startswith("meerkat_mob")]
    return [name for module in ours for name in vars(module)]


def test_mcp_servers_are_refused_with_a_word_on_what_to_do() -> None:
    from meerkat_mob.agent.mcp import Mcp

    with pytest.raises(CapabilityUnavailable, match="from the host only"):
        Mcp()


def test_asyncio_run_waits_here_because_stacks_switch() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert asyncio.run(answer()) == 42


@pytest.mark.native_only
async def test_fetch_to_elsewhere_is_refused() -> None:
    import js
    from pyodide.ffi import JsException

    with pytest.raises(JsException, match="network is cut"):
        await js.fetch("http://192.0.2.1/")
