"""What a browser says when its model cannot answer, told so that its user can mend it."""

from __future__ import annotations

from typing import Final

import msgspec

from meerkat_mob.core.provider_names import BUILT_IN
from meerkat_mob.errors import LlmFailed

OTHERWISE: Final = "ask a model server, or play offline"


class Fault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An exception of the browser's; a quota and what was ``requested`` of it are in tokens."""

    name: str
    message: str = ""
    requested: float | None = None
    quota: float | None = None


def absent() -> LlmFailed:
    """This browser has no such thing, or lends it to no page like this one."""
    return _failed(
        "this browser offers no model of its own to this page",
        "use a current Chrome or Edge on a desktop (the page must come over https or from "
        f"localhost); else {OTHERWISE}",
        reason="invalid_model",
    )


def unavailable() -> LlmFailed:
    """It has one, but not on this device, or not as it was asked for."""
    return _failed(
        "the browser's own model does not run here: the device is too small for it, or it does "
        "not know the language asked for",
        f"see what the browser says of its on-device model (chrome://on-device-internals); else "
        f"{OTHERWISE}",
        reason="invalid_model",
    )


def failure(fault: Fault) -> LlmFailed:
    """The failure for an exception."""
    said = f"{fault.name}: {fault.message}" if fault.message else fault.name
    match fault.name:
        case "QuotaExceededError":
            sizes = ""
            if fault.requested is not None and fault.quota is not None:
                sizes = f": {fault.requested:.0f} tokens, of {fault.quota:.0f}"
            return _failed(
                f"the conversation is longer than the browser's model can read{sizes}",
                "shorten the conversation, or use a model with a larger context",
                reason="context_exceeded",
            )
        case "NotAllowedError":
            return _failed(
                f"the browser keeps its model from this page ({said})",
                "press Run again: it is downloaded only after a click; in a frame, the page around "
                "it must allow language-model",
            )
        case "NotSupportedError":
            return _failed(
                f"the browser's model cannot do this ({said})",
                "look at the form asked of its answers, and at provider_params",
            )
        case "NotReadableError":
            return _failed(
                f"the browser holds back what its model answered ({said})",
                "ask in other words",
            )
        case "NetworkError":
            return _failed(
                f"the browser could not download its model ({said})",
                "look at the connection, then ask again",
                retryable=True,
            )
        case "AbortError" | "InvalidStateError" | "OperationError" | "UnknownError":
            return _failed(
                f"the browser's model broke off ({said})",
                "ask again; if it stays so, load the page again",
                retryable=True,
            )
        case _:
            return _failed(f"the browser's model failed ({said})", f"ask again, or {OTHERWISE}")


def _failed(
    detail: str, hint: str, *, reason: str = "provider_error", retryable: bool = False
) -> LlmFailed:
    return LlmFailed(
        provider=BUILT_IN, reason=reason, detail=detail, hint=hint, retryable=retryable
    )
