"""As much of watchfiles as is used; its own types name a library that is not installed."""

from collections.abc import AsyncGenerator
from pathlib import Path

def awatch(
    *paths: Path | str,
    watch_filter: None,
    debounce: int,
    step: int,
    recursive: bool,
) -> AsyncGenerator[set[tuple[int, str]]]: ...
