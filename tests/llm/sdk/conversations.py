"""Any conversation, for the types of the providers' own libraries to judge. No tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
from hypothesis import strategies as st
from pydantic import BaseModel

from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.messages import (
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantMessage,
    AssistantText,
    GeminiMeta,
    Message,
    OpenAiMeta,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from tests.llm.anthropic.kit import SEARCHED


def plain(value: Any) -> Any:
    """What a lazy validator lets through. It drops unknown keys, so the rest must be equal."""
    if isinstance(value, BaseModel):  # a part of an answer that may be sent back as it is
        return plain(value.model_dump(exclude_unset=True))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | Iterator):
        return [plain(item) for item in cast("Iterator[Any]", value)]
    return value


_WORDS = st.text(max_size=8)
_IMAGE = st.builds(
    ImageBlock, media_type=st.just("image/png"), source=st.just("inline"), data=st.just("QUJD")
)
_GONE = st.builds(
    ImageBlock, media_type=st.just("image/png"), source=st.just("blob"), blob_id=st.just("b")
)
_VIDEO = st.builds(
    VideoBlock,
    media_type=st.just("video/mp4"),
    duration_ms=st.just(5),
    source=st.just("inline"),
    data=st.just("QUJD"),
)
_CONTENT: st.SearchStrategy[Content] = st.one_of(
    _WORDS,
    st.lists(st.one_of(st.builds(TextBlock, text=_WORDS), _IMAGE, _GONE, _VIDEO), max_size=3).map(
        tuple
    ),
)
_META = st.one_of(
    st.just(msgspec.UNSET),
    st.builds(AnthropicMeta, signature=_WORDS),
    st.builds(AnthropicRedactedMeta, data=_WORDS),
    st.sampled_from(SEARCHED).map(
        lambda one: AnthropicServerMeta(block=msgspec.json.encode(one).decode())
    ),
    st.builds(GeminiMeta, thought_signature=st.sampled_from(["", "c2ln"])),
    st.builds(OpenAiMeta, id=st.sampled_from("ab")),
    st.builds(OpenAiMeta, id=st.sampled_from("ab"), phase=st.just("commentary")),
    st.builds(OpenAiMeta, id=st.sampled_from("ab"), encrypted_content=_WORDS),
)
_BLOCK = st.one_of(
    st.builds(AssistantText, data=st.builds(TextData, text=_WORDS, meta=_META)),
    st.builds(Reasoning, data=st.builds(TextData, text=_WORDS, meta=_META)),
    st.builds(
        ToolUse,
        data=st.builds(
            ToolUseData,
            id=_WORDS,
            name=_WORDS,
            args=st.just(msgspec.Raw(b'{"a":[1,{"b":"\\u00e9"}]}')),
            meta=_META,
        ),
    ),
)
CONVERSATIONS: st.SearchStrategy[list[Message]] = st.lists(
    st.one_of(
        st.builds(SystemMessage, content=_WORDS),
        st.builds(SystemNotice, kind=st.just("generic"), body=_WORDS),
        st.builds(UserMessage, content=_CONTENT),
        st.builds(
            AssistantMessage,
            blocks=st.lists(_BLOCK, max_size=4).map(tuple),
            stop_reason=st.sampled_from(["end_turn", "tool_use"]),
        ),
        st.builds(
            ToolResults,
            results=st.lists(
                st.builds(ToolResult, tool_use_id=_WORDS, content=_CONTENT), max_size=2
            ).map(tuple),
        ),
    ),
    max_size=6,
)
