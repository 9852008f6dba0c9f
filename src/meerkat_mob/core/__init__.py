"""Structs and pure functions that two or more rooms share: no I/O, clock, randomness or loop.

Here is what every room uses. The session document and its reserved states (``session``,
``reserved`` and what they are made of) are imported from their modules, so that a mob that stores
nothing does not load them.
"""

from meerkat_mob.core.arguments import encode_arguments, normalise_arguments, normalise_json
from meerkat_mob.core.content import (
    Content,
    ContentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
    has_media,
    has_video,
    text_of,
)
from meerkat_mob.core.digest import ConversationDigest
from meerkat_mob.core.events import AgentEvent, EventEnvelope, RunResult
from meerkat_mob.core.ids import Clock, Ids, comms_name, uuid7_text
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    HandlingMode,
    Message,
    ProviderMeta,
    Reasoning,
    RenderMetadata,
    StopReason,
    SystemMessage,
    SystemNotice,
    ToolResult,
    ToolResults,
    ToolUse,
    UserMessage,
    decode_message,
    encode_message,
    import_message,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.metadata import (
    PeerMeta,
    SessionLlmIdentity,
    SessionMetadata,
    SessionTooling,
    ToolCategory,
)
from meerkat_mob.core.provider_names import Provider, infer_provider
from meerkat_mob.core.safe_json import decode_json, refuse_deep
from meerkat_mob.core.tools import (
    Execute,
    Tool,
    ToolCall,
    ToolDef,
    ToolErrorCode,
    ToolOutcome,
    ToolProvenance,
    tool_error,
    tool_value,
)
from meerkat_mob.core.transcript import Transcript, View
from meerkat_mob.core.usage import Usage

__all__ = (
    "AgentEvent",
    "AssistantBlock",
    "AssistantFlat",
    "AssistantMessage",
    "AssistantText",
    "Clock",
    "Content",
    "ContentBlock",
    "ConversationDigest",
    "EventEnvelope",
    "Execute",
    "HandlingMode",
    "Ids",
    "ImageBlock",
    "Json",
    "JsonObject",
    "Message",
    "PeerMeta",
    "Provider",
    "ProviderMeta",
    "Reasoning",
    "RenderMetadata",
    "RunResult",
    "SessionLlmIdentity",
    "SessionMetadata",
    "SessionTooling",
    "StopReason",
    "SystemMessage",
    "SystemNotice",
    "TextBlock",
    "Tool",
    "ToolCall",
    "ToolCategory",
    "ToolDef",
    "ToolErrorCode",
    "ToolOutcome",
    "ToolProvenance",
    "ToolResult",
    "ToolResults",
    "ToolUse",
    "Transcript",
    "Usage",
    "UserMessage",
    "VideoBlock",
    "View",
    "comms_name",
    "decode_json",
    "decode_message",
    "encode_arguments",
    "encode_message",
    "has_media",
    "has_video",
    "import_message",
    "infer_provider",
    "normalise_arguments",
    "normalise_json",
    "refuse_deep",
    "text_of",
    "text_of_message",
    "tool_error",
    "tool_uses",
    "tool_value",
    "uuid7_text",
)
