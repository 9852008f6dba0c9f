"""Hooks in another program: what it is told and what it answers, as JSON (HK-1, HK-5, HK-7).

What is told is ``HookCall``. An answer is read strictly: what is wrong with it is the hook's fault,
and is told with its place.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.hooks import Capability, Deny, HookAnswer, HookCall, HookPatch
from meerkat_mob.core.safe_json import decode_json
from meerkat_mob.core.strict import Dialect, decode
from meerkat_mob.errors import HookExecutionFailed


class Allow(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="decision", tag="allow"):
    """It may pass. So it may when nothing is decided."""


class HookReply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a program answers; ``{}`` lets it pass. A denial changes nothing beside."""

    decision: Allow | Deny | UnsetType = UNSET
    patches: tuple[HookPatch, ...] = ()


_ID: Final = {"hook_id": "the hook is known"}
DIALECT: Final = Dialect(unsupported={Allow: _ID, Deny: _ID})


def encode_call(call: HookCall, *, limit: int) -> bytes:
    """What a program is told. Raises ``HookExecutionFailed`` for more than ``limit`` bytes."""
    told = msgspec.json.encode(call)
    if len(told) > limit:
        raise HookExecutionFailed(
            what="the hook", why=f"would be told {len(told)} bytes, and may be told {limit}"
        )
    return told


def decode_reply(raw: bytes, capability: Capability) -> HookAnswer:
    """What a program has answered. An observer may say nothing at all.

    Raises ``HookExecutionFailed`` with every fault and its place.
    """
    if capability == "observe" and not raw.strip():
        return None
    try:
        data = decode_json(raw)
    except ValueError as fault:
        raise _wrong(str(fault)) from None
    reply, faults = decode(HookReply, data, path="answer", dialect=DIALECT)
    told = [f"{f.path}: {f.message}" for f in faults if f.kind != "unsupported_field"]
    if reply is None or told:
        raise _wrong("; ".join(told))
    if not isinstance(reply.decision, Deny):
        return reply.patches
    if reply.patches:
        raise _wrong("answer.patches: a denial changes nothing: leave them out")
    return reply.decision


def _wrong(told: str) -> HookExecutionFailed:
    return HookExecutionFailed(what="the hook's answer", why=f"cannot be taken: {told}")
