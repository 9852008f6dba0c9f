"""Who thinks: the protocol of a model, and the clients that keep it."""

from meerkat_mob.llm.assembly import Assembled, Assembler
from meerkat_mob.llm.client import (
    LlmClient,
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)
from meerkat_mob.llm.providers import ClientChoice, choose, open_client
from meerkat_mob.llm.scripted import Reply, ScriptedLlm, call, fail, hang, say

__all__ = (
    "Assembled",
    "Assembler",
    "ClientChoice",
    "LlmClient",
    "LlmDone",
    "LlmEvent",
    "LlmReasoningComplete",
    "LlmReasoningDelta",
    "LlmRequest",
    "LlmTextDelta",
    "LlmToolCallComplete",
    "LlmToolCallDelta",
    "LlmUsage",
    "Reply",
    "ScriptedLlm",
    "call",
    "choose",
    "fail",
    "hang",
    "open_client",
    "say",
)
