"""Where the bridge meets the browser: the only module here that needs Pyodide around it."""

from __future__ import annotations

from collections.abc import Callable

from meerkat_mob.surfaces.worker.bridge import Bridge


async def load_http() -> None:
    """Brings what asking a model needs, from the folder that Pyodide came from.

    That is those modules of ours that only a team with a model needs, and httpx2 with them.
    """
    import pyodide_js  # noqa: PLC0415 (it exists in the browser only)

    await pyodide_js.loadPackage("meerkat-mob-dialects")


def start(post: Callable[[str], None]) -> Callable[[str], None]:
    """Opens a bridge that answers through ``post``; returns what takes the page's messages."""
    return Bridge(post, load_http=load_http).receive
