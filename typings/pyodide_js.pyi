# The Pyodide object itself, seen from Python.
from typing import Any

version: str

async def loadPackage(names: str | list[str], **options: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...
