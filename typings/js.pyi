# The JavaScript global scope of a page or a worker: whatever it holds.
from typing import Any

def __getattr__(name: str) -> Any: ...
