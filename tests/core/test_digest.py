"""The conversation digest against what the standard library says of the same text (RCP-1)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.arguments import normalise_arguments
from meerkat_mob.core.blobs import kept_form
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.digest import ConversationDigest
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    Message,
    RenderMetadata,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    encode_message,
)
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from tests import strategies

CALL = AssistantMessage(
    blocks=(
        ToolUse(
            data=ToolUseData(
                id="c1",
                name="lookup",
                args=normalise_arguments('{ "q" : "Köln", "n": 3.0, "deep": {"b":1, "a":[ ]} }'),
            )
        ),
    ),
    stop_reason="tool_use",
)
CALL_JSON: dict[str, Any] = {
    "role": "block_assistant",
    "blocks": [
        {
            "block_type": "tool_use",
            "data": {
                "id": "c1",
                "name": "lookup",
                "args": {"deep": {"a": [], "b": 1}, "n": 3.0, "q": "Köln"},
            },
        }
    ],
    "stop_reason": "tool_use",
}

VECTORS: list[tuple[str, list[Message], list[Any], str]] = [
    (
        "nothing was said",
        [],
        [],
        "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    ),
    (
        "a prompt and an answer",
        [
            SystemMessage(content='Say "yes".\n'),
            UserMessage(content=(TextBlock(text="Ready, Zoë? 🦦"),)),
            AssistantMessage(
                blocks=(AssistantText(data=TextData(text="yes")),), stop_reason="end_turn"
            ),
        ],
        [
            {"role": "system", "content": 'Say "yes".\n'},
            {"role": "user", "content": "Ready, Zoë? 🦦"},
            {
                "role": "block_assistant",
                "blocks": [{"block_type": "text", "data": {"text": "yes"}}],
                "stop_reason": "end_turn",
            },
        ],
        "9598899c9145c9feedd5d409cd82d955746c919d2fb14a92dffaae918745f959",
    ),
    (
        "a call and its results",
        [
            UserMessage(content="go"),
            CALL,
            ToolResults(results=(ToolResult(tool_use_id="c1", content="none", is_error=True),)),
        ],
        [
            {"role": "user", "content": "go"},
            CALL_JSON,
            {
                "role": "tool_results",
                "results": [{"tool_use_id": "c1", "content": "none", "is_error": True}],
            },
        ],
        "c35d5512e1b19ef35735c6633613d2263ab91bdb0545b4da8bf1476e02558c4c",
    ),
    (
        "an image, metadata, a notice and an old answer",
        [
            UserMessage(
                content=(ImageBlock(media_type="image/png", source="blob", blob_id="sha256:ab"),),
                render_metadata=RenderMetadata(render_class="peer_message", salience="urgent"),
            ),
            SystemNotice(kind="background_job", body="done"),
            AssistantFlat(content="ok", usage=Usage(input_tokens=7, cache_read_tokens=0)),
        ],
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "media_type": "image/png",
                        "source": "blob",
                        "blob_id": "sha256:ab",
                    }
                ],
                "render_metadata": {"class": "peer_message", "salience": "urgent"},
            },
            {"role": "system_notice", "kind": "background_job", "body": "done"},
            {
                "role": "assistant",
                "content": "ok",
                "tool_calls": [],
                "stop_reason": "end_turn",
                "usage": {
                    "input_tokens": 7,
                    "output_tokens": 0,
                    "cache_creation_tokens": None,
                    "cache_read_tokens": 0,
                },
            },
        ],
        "9b2a46e24bfeb796c22f4dad7943c23cda7a329b65bf7c9452bb9d68c44c38b3",
    ),
]


def joined(messages: list[Message]) -> str:
    array = b"[" + b",".join(encode_message(message) for message in messages) + b"]"
    return hashlib.sha256(array).hexdigest()


@pytest.mark.parametrize(
    ("messages", "document", "sha256"),
    [pytest.param(*vector[1:], id=vector[0]) for vector in VECTORS],
)
def test_a_conversation_has_its_pinned_digest(
    messages: list[Message], document: list[Any], sha256: str
) -> None:
    compact = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(compact.encode()).hexdigest() == sha256
    assert Transcript.of(messages).digest() == sha256


@given(strategies.conversations)
def test_it_is_the_hash_of_the_array_after_every_push(messages: list[Message]) -> None:
    digest = ConversationDigest()
    for count, message in enumerate(messages, start=1):
        digest.push(encode_message(message))
        assert digest.hexdigest() == joined(messages[:count])
        assert digest.count == count
    assert digest.hexdigest() == joined(messages)


@given(strategies.conversations, st.data())
def test_how_the_messages_were_pushed_does_not_matter(
    messages: list[Message], data: st.DataObject
) -> None:
    transcript, rest = Transcript(), messages
    while rest:
        size = data.draw(st.integers(min_value=1, max_value=len(rest)))
        batch, rest = rest[:size], rest[size:]
        if data.draw(st.booleans()):
            transcript = transcript.fork()
        transcript.push_batch(batch)
    assert transcript.digest() == joined([kept_form(message)[0] for message in messages])


def test_a_copy_and_its_original_go_their_own_ways() -> None:
    digest = ConversationDigest()
    digest.push(b"1")
    copy = digest.copy()
    copy.push(b"2")
    digest.push(b"3")
    assert copy.hexdigest() == hashlib.sha256(b"[1,2]").hexdigest()
    assert digest.hexdigest() == hashlib.sha256(b"[1,3]").hexdigest()
    assert (copy.count, digest.count) == (2, 2)
