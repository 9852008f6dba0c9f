"""Where these tools say they come from, and the form of what they refuse."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from meerkat_mob.core.tools import Tool, ToolErrorCode, ToolProvenance
from meerkat_mob.errors import ToolFailed

BUILTIN: Final = ToolProvenance(kind="builtin", source_id="builtins")


def as_builtin(made: Tool) -> Tool:
    """The tool, with a definition that names its source."""
    return replace(made, definition=replace(made.definition, provenance=BUILTIN))


def refusal(path: str, fault: OSError | ToolFailed) -> tuple[ToolErrorCode, str]:
    """What a model is told when a file could not be had: the code, and a text with its path."""
    match fault:
        case PermissionError():
            code: ToolErrorCode = "access_denied"
        case ToolFailed():
            code = "tool_error"
        case _:
            code = "execution_failed"
    told = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return code, f"{path}: {told}"
