"""Who thinks: the protocol of a model, and the clients that keep it."""

from meerkat_mob.llm.assembly import Assembled, Assembler
from meerkat_mob.llm.cassette import Cassette, Heard, Take, decode_cassette, encode_cassette
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
from meerkat_mob.llm.openai_compatible import OpenAiCompatible
from meerkat_mob.llm.performance import Performance, load_performance, parse_performance
from meerkat_mob.llm.performing import PerformanceLlm
from meerkat_mob.llm.plain import PlainLlm
from meerkat_mob.llm.providers import SCRIPTED, ClientChoice, choose, open_client
from meerkat_mob.llm.recording import Recorder, Replay
from meerkat_mob.llm.reply import Reply, call, fail, hang, say
from meerkat_mob.llm.scripted import ScriptedLlm

__all__ = (
    "SCRIPTED",
    "Assembled",
    "Assembler",
    "Cassette",
    "ClientChoice",
    "Heard",
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
    "OpenAiCompatible",
    "Performance",
    "PerformanceLlm",
    "PlainLlm",
    "Recorder",
    "Replay",
    "Reply",
    "ScriptedLlm",
    "Take",
    "call",
    "choose",
    "decode_cassette",
    "encode_cassette",
    "fail",
    "hang",
    "load_performance",
    "open_client",
    "parse_performance",
    "say",
)
