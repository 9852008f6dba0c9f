"""Find a Chromium, install Debian's when that is allowed, and start it off the network."""

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
INSTALL: Final = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")

OFF_THE_NETWORK: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
IN_A_CONTAINER: Final = ("--disable-dev-shm-usage", "--disable-gpu")
AS_ROOT: Final = ("--no-sandbox",)


class NoChromiumError(Exception):
    """There is no Chromium here; the text says why, and the command that adds one."""


def find() -> str | None:
    """The Chromium that ``CHROMIUM`` names, or the first on the path that starts."""
    named = os.environ.get("CHROMIUM")
    if named is not None and not _starts(named):
        raise NoChromiumError(f"CHROMIUM={named} does not start; correct it or unset it")
    return named or next((name for name in NAMES if _starts(name)), None)


def find_or_install() -> str:
    """A Chromium in any case. Raises ``NoChromiumError`` when nobody here may install one."""
    found = find()
    if found:
        return found
    command = " ".join(INSTALL)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoChromiumError(f"no Chromium found; `sudo {command}` adds one, or set CHROMIUM=PATH")
    print(f"no Chromium found: {command}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
        subprocess.run([*INSTALL, "-qq"], check=True, env=quiet, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError as failed:
        raise NoChromiumError(f"`{command}` failed ({failed.returncode})") from failed
    installed = find()
    if installed is None:
        raise NoChromiumError(f"`{command}` installed no Chromium that starts; set CHROMIUM=PATH")
    return installed


def _starts(name: str) -> bool:
    """Whether it runs at all: on some systems the name is a stub that points elsewhere."""
    path = shutil.which(name)
    if path is None:
        return False
    shown = subprocess.run([path, "--version"], capture_output=True, check=False)
    return shown.returncode == 0


@contextmanager
def started(name: str) -> Generator[Browser, None, None]:
    """A headless browser that is closed at the end of the block."""
    flags = [*OFF_THE_NETWORK, *IN_A_CONTAINER, *(AS_ROOT if os.geteuid() == 0 else ())]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(name), args=flags)
        try:
            yield browser
        finally:
            browser.close()
