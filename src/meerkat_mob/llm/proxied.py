"""What ``meerkat-mob proxy`` says for itself, as it stands on the wire; models never say it.

The proxy writes it and ``failures`` reads it, so that a fault of the way is not told as one of the
model server. It has the shape in which providers tell errors, for the clients of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

FaultCode: TypeAlias = Literal[
    "origin_refused",
    "host_refused",
    "not_passed",
    "too_large",
    "key_missing",
    "unreachable",
    "broken_off",
    "no_model_server",
    "timed_out",
]


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a fault is answered, and what it is to the caller of a model (RTY-2, CLI-3)."""

    status: int
    reason: str
    retryable: bool = False


FAULTS: Final[Mapping[FaultCode, Row]] = {
    "origin_refused": Row(status=403, reason="auth_error"),
    "host_refused": Row(status=403, reason="auth_error"),
    "not_passed": Row(status=404, reason="provider_error"),
    "too_large": Row(status=413, reason="provider_error"),
    "key_missing": Row(status=503, reason="auth_error"),
    "unreachable": Row(status=502, reason="provider_error"),
    "broken_off": Row(status=502, reason="provider_error", retryable=True),
    "no_model_server": Row(status=502, reason="provider_error"),
    "timed_out": Row(status=504, reason="network_timeout", retryable=True),
}


class ProxyFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened, and what to do about it."""

    code: FaultCode
    detail: str
    hint: str

    @property
    def row(self) -> Row:
        """What follows from its code."""
        return FAULTS[self.code]


class _Told(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="meerkat_mob_proxy"):
    code: FaultCode
    message: str
    detail: str
    hint: str


class _Body(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    error: _Told


_decoder: Final = msgspec.json.Decoder(_Body)


def encode_fault(fault: ProxyFault) -> bytes:
    """The body of the answer; its status is the fault's row's."""
    message = f"{fault.detail}; {fault.hint}"
    return msgspec.json.encode(
        _Body(error=_Told(code=fault.code, message=message, detail=fault.detail, hint=fault.hint))
    )


def decode_fault(body: str) -> ProxyFault | None:
    """What the proxy said; None when somebody else is speaking, or a proxy of another version."""
    try:
        told = _decoder.decode(body).error
    except (msgspec.DecodeError, RecursionError):
        return None
    return ProxyFault(code=told.code, detail=told.detail, hint=told.hint)
