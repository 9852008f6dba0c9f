"""Who thinks: the protocol of a model, and the clients that keep it."""

from meerkat_mob.core.provider_names import BUILT_IN
from meerkat_mob.llm.adapted import Adapted, adapted
from meerkat_mob.llm.assembly import Assembled, Assembler
from meerkat_mob.llm.catalogue import (
    Catalogue,
    ModelFacts,
    ModelServer,
    Price,
    known,
    load_catalogue,
    parse_catalogue,
)
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
from meerkat_mob.llm.clients import Clients
from meerkat_mob.llm.http import HttpLlm
from meerkat_mob.llm.lines import Line, Script, asked, when
from meerkat_mob.llm.performance import Performance, load_performance, parse_performance
from meerkat_mob.llm.performing import PerformanceLlm
from meerkat_mob.llm.plain import PlainLlm
from meerkat_mob.llm.providers import SCRIPTED, ClientChoice, choose, open_client
from meerkat_mob.llm.reply import Call, Reply, call, fail, hang, say, think
from meerkat_mob.llm.scripted import ScriptedLlm

__all__ = (
    "BUILT_IN",
    "SCRIPTED",
    "Adapted",
    "Assembled",
    "Assembler",
    "Call",
    "Catalogue",
    "ClientChoice",
    "Clients",
    "HttpLlm",
    "Line",
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
    "ModelFacts",
    "ModelServer",
    "Performance",
    "PerformanceLlm",
    "PlainLlm",
    "Price",
    "Reply",
    "Script",
    "ScriptedLlm",
    "adapted",
    "asked",
    "call",
    "choose",
    "fail",
    "hang",
    "known",
    "load_catalogue",
    "load_performance",
    "open_client",
    "parse_catalogue",
    "parse_performance",
    "say",
    "think",
    "when",
)
