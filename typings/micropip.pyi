from collections.abc import Sequence
from typing import Any

class PackageMetadata:
    name: str
    version: str
    source: str

async def install(requirements: str | Sequence[str], **options: Any) -> None: ...
def list() -> dict[str, PackageMetadata]: ...
