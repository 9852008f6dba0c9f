"""Messages: every member of every union both ways, and the older forms (spec sessions 1.8)."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.messages import (
    NOTICE_PREFIX,
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantFlat,
    AssistantMessage,
    AssistantText,
    GeminiMeta,
    LegacyToolCall,
    Message,
    NoticeKind,
    OpenAiMeta,
    ProviderMeta,
    Reasoning,
    RenderClass,
    RenderMetadata,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    decode_message,
    encode_message,
    import_message,
    stored_form,
    text_of_message,
    tool_uses,
)
from meerkat_mob.core.usage import Usage
from tests import strategies

IMAGE = ImageBlock(media_type="image/png", source="blob", blob_id="sha256:00")
ARGS = encode_arguments({"city": "Paris"})

WIRE: list[tuple[Message, str]] = [
    (SystemMessage(content="Be terse."), '{"role":"system","content":"Be terse."}'),
    (
        SystemNotice(kind="mcp_pending", body="1 connecting"),
        '{"role":"system_notice","kind":"mcp_pending","body":"1 connecting"}',
    ),
    (UserMessage(content="Grüße"), '{"role":"user","content":"Grüße"}'),
    (UserMessage(content=()), '{"role":"user","content":[]}'),
    (
        UserMessage(
            content=(TextBlock(text="Look"), IMAGE),
            render_metadata=RenderMetadata(render_class="user_prompt", salience="important"),
        ),
        (
            '{"role":"user","content":[{"type":"text","text":"Look"},{"type":"image","media_type":'
            '"image/png","source":"blob","blob_id":"sha256:00"}],'
            '"render_metadata":{"class":"user_prompt","salience":"important"}}'
        ),
    ),
    (
        AssistantMessage(
            blocks=(
                Reasoning(data=TextData(text="hm", meta=AnthropicMeta(signature="s"))),
                AssistantText(data=TextData(text="Hello.")),
                ToolUse(data=ToolUseData(id="t1", name="weather", args=ARGS)),
            ),
            stop_reason="tool_use",
        ),
        (
            '{"role":"block_assistant","blocks":[{"block_type":"reasoning","data":{"text":"hm","meta":'
            '{"provider":"anthropic","signature":"s"}}},{"block_type":"text","data":{"text":"Hello."}},'
            '{"block_type":"tool_use","data":{"id":"t1","name":"weather","args":{"city":"Paris"}}}],'
            '"stop_reason":"tool_use"}'
        ),
    ),
    (
        ToolResults(
            results=(
                ToolResult(tool_use_id="t1", content="18 C"),
                ToolResult(tool_use_id="t2", content=(IMAGE,), is_error=True),
            )
        ),
        (
            '{"role":"tool_results","results":[{"tool_use_id":"t1","content":"18 C",'
            '"is_error":false},{"tool_use_id":"t2","content":[{"type":"image","media_type":"image/png","source":"blob",'
            '"blob_id":"sha256:00"}],"is_error":true}]}'
        ),
    ),
    (
        AssistantFlat(
            content="ok",
            tool_calls=(LegacyToolCall(id="t1", name="f", args=ARGS),),
            usage=Usage(input_tokens=3, output_tokens=1),
        ),
        (
            '{"role":"assistant","content":"ok","tool_calls":[{"id":"t1","name":"f","args":'
            '{"city":"Paris"}}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1,'
            '"cache_creation_tokens":null,"cache_read_tokens":null}}'
        ),
    ),
]

METAS: list[tuple[ProviderMeta, str]] = [
    (AnthropicMeta(signature="s+/="), '{"provider":"anthropic","signature":"s+/="}'),
    (AnthropicRedactedMeta(data="d"), '{"provider":"anthropic_redacted","data":"d"}'),
    (AnthropicCompactionMeta(content="c"), '{"provider":"anthropic_compaction","content":"c"}'),
    (
        AnthropicCompactionMeta(
            content="c", encrypted_content="e", signature="s", tool_changes="[]"
        ),
        (
            '{"provider":"anthropic_compaction","content":"c","encrypted_content":"e",'
            '"signature":"s","tool_changes":"[]"}'
        ),
    ),
    (
        AnthropicServerMeta(block='{"input":{"n":1.50}}'),
        '{"provider":"anthropic_server","block":"{\\"input\\":{\\"n\\":1.50}}"}',
    ),
    (GeminiMeta(thought_signature="g"), '{"provider":"gemini","thoughtSignature":"g"}'),
    (OpenAiMeta(id="rs_1"), '{"provider":"open_ai","id":"rs_1"}'),
    (
        OpenAiMeta(id="rs_1", encrypted_content="e"),
        '{"provider":"open_ai","id":"rs_1","encrypted_content":"e"}',
    ),
]


@pytest.mark.parametrize(("message", "wire"), WIRE)
def test_every_message_is_read_and_written_the_same(message: Message, wire: str) -> None:
    assert encode_message(message).decode() == wire
    assert decode_message(wire.encode()) == message


@pytest.mark.parametrize(("meta", "wire"), METAS)
def test_provider_metadata_survives_byte_for_byte(meta: ProviderMeta, wire: str) -> None:
    block = f'{{"block_type":"reasoning","data":{{"text":"","meta":{wire}}}}}'
    raw = f'{{"role":"block_assistant","blocks":[{block}],"stop_reason":"end_turn"}}'
    message = decode_message(raw.encode())
    assert message == AssistantMessage(
        blocks=(Reasoning(data=TextData(text="", meta=meta)),), stop_reason="end_turn"
    )
    assert encode_message(message).decode() == raw


@given(strategies.messages)
def test_any_message_survives_the_wire(message: Message) -> None:
    assert decode_message(encode_message(message)) == stored_form(message)


@given(strategies.messages)
def test_importing_our_own_bytes_changes_none_of_them(message: Message) -> None:
    raw = encode_message(message)
    assert encode_message(import_message(raw)) == raw


@given(strategies.messages)
def test_stored_bytes_are_compact_json(message: Message) -> None:
    raw = encode_message(message)
    assert b"\n" not in raw
    decoded = json.loads(raw)
    assert next(iter(decoded)) == "role"
    assert len(raw) <= len(json.dumps(decoded, ensure_ascii=False).encode()) + 16


def test_tool_arguments_are_kept_as_they_are_and_never_encoded_again() -> None:
    args = b'{ "b" : 1.50, "a": 1 }'
    raw = (
        b'{"role":"block_assistant","blocks":[{"block_type":"tool_use","data":'
        b'{"id":"a","name":"f","args":' + args + b'}}],"stop_reason":"tool_use"}'
    )
    message = decode_message(raw)
    assert [bytes(use.args) for use in tool_uses(message)] == [args]
    assert encode_message(message) == raw


def test_an_imported_message_has_normalised_arguments_in_both_assistant_forms() -> None:
    call = b'{"id":"a","name":"f","args":{ "b" : 1.50, "a":[1, 2], "c": 1E-7 }}'
    block = b'{"role":"block_assistant","blocks":[{"block_type":"tool_use","data":%b}' % call
    spoken = b',{"block_type":"text","data":{"text":"x"}}],"stop_reason":"tool_use"}'
    flat = b'{"role":"assistant","content":"","tool_calls":[%b]}' % call
    for raw in (block + spoken, flat):
        assert [bytes(use.args) for use in tool_uses(import_message(raw))] == [
            b'{"a":[1,2],"b":1.5,"c":1e-7}'
        ]
    assert import_message(b'{"role":"user","content":"x"}') == UserMessage(content="x")


def test_one_lone_text_block_is_stored_as_a_string_and_both_forms_are_read() -> None:
    blocks = b'[{"type":"text","text":"hi"}]'
    for content in (b'"hi"', blocks):
        assert decode_message(b'{"role":"user","content":%b}' % content) == UserMessage(
            content="hi"
        )
        results = b'{"role":"tool_results","results":[{"tool_use_id":"t","content":%b}]}' % content
        assert decode_message(results) == ToolResults(
            results=(ToolResult(tool_use_id="t", content="hi"),)
        )
    lone = (TextBlock(text="hi"),)
    assert encode_message(UserMessage(content=lone)) == b'{"role":"user","content":"hi"}'
    image = ToolResult(tool_use_id="u", content=(IMAGE,))
    two = ToolResults(results=(ToolResult(tool_use_id="t", content=lone), image))
    assert b'"content":"hi"' in encode_message(two)
    assert stored_form(two) == ToolResults(
        results=(ToolResult(tool_use_id="t", content="hi"), image)
    )


def test_unknown_fields_are_ignored_and_absent_ones_take_their_default() -> None:
    raw = b'{"new":1,"role":"assistant","content":"x","more":{"a":[]}}'
    assert decode_message(raw) == AssistantFlat(
        content="x", tool_calls=(), stop_reason="end_turn", usage=Usage()
    )


def test_absent_fields_written_as_null_are_absent() -> None:
    raw = (
        b'{"role":"block_assistant","blocks":[{"block_type":"tool_use","data":{"id":"a","name":"f",'
        b'"args":{"x":null},"meta":null}}],"stop_reason":"tool_use","identity":null}'
    )
    assert decode_message(raw) == AssistantMessage(
        blocks=(ToolUse(data=ToolUseData(id="a", name="f", args=encode_arguments({"x": None}))),),
        stop_reason="tool_use",
    )
    user = (
        b'{"role":"user","content":"x","render_metadata":{"class":"user_prompt","salience":null}}'
    )
    assert decode_message(user) == UserMessage(
        content="x", render_metadata=RenderMetadata(render_class="user_prompt")
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"content":"x"}',
        b'{"role":"robot","content":"x"}',
        b'{"role":"user"}',
        b'{"role":"user","content":null}',
        b'{"role":"user","content":"\xff"}',
        b'{"role":"block_assistant","blocks":[{"block_type":"song","data":{}}],"stop_reason":"end_turn"}',
        b'{"role":"block_assistant","blocks":[],"stop_reason":"tired"}',
        b'{"role":"user","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_message_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_message(raw)


# -- notices -----------------------------------------------------------------------------------

CLASS: dict[NoticeKind, RenderClass] = {
    "generic": "system_notice",
    "mcp_pending": "system_notice",
    "background_job": "ops_progress",
    "tool_scope": "tool_scope_notice",
    "tool_scope_warning": "tool_scope_notice",
}


def old_notice(text: str, render_class: RenderClass | None) -> bytes:
    meta = (
        b""
        if render_class is None
        else b',"render_metadata":{"class":"%b"}' % (render_class.encode())
    )
    return b'{"role":"user","content":%b%b}' % (msgspec.json.encode(text), meta)


@pytest.mark.parametrize("kind", NOTICE_PREFIX)
def test_an_old_user_message_whose_class_and_text_say_notice_is_one(kind: NoticeKind) -> None:
    text = f"{NOTICE_PREFIX[kind]} the body [SYSTEM NOTICE] of it"
    notice = SystemNotice(kind=kind, body="the body [SYSTEM NOTICE] of it")
    assert decode_message(old_notice(text, CLASS[kind])) == notice
    assert text_of_message(notice) == text
    as_block = msgspec.json.encode([{"type": "text", "text": text}])
    raw = b'{"role":"user","content":%b,"render_metadata":{"class":"%b"}}'
    assert decode_message(raw % (as_block, CLASS[kind].encode())) == notice


@pytest.mark.parametrize("kind", NOTICE_PREFIX)
@pytest.mark.parametrize("render_class", [None, *get_args(RenderClass)])
def test_text_alone_is_never_enough_and_the_class_must_match_the_kind(
    kind: NoticeKind, render_class: RenderClass | None
) -> None:
    message = decode_message(old_notice(f"{NOTICE_PREFIX[kind]} x", render_class))
    assert isinstance(message, SystemNotice) is (render_class == CLASS[kind])


@pytest.mark.parametrize(
    "text", ["plain", "[SYSTEM NOTICE]", "[SYSTEM NOTICE: x]", " [SYSTEM NOTICE] x"]
)
def test_a_class_alone_is_not_enough_either(text: str) -> None:
    message = decode_message(old_notice(text, "system_notice"))
    assert isinstance(message, UserMessage)
    assert message.content == text


def test_a_notice_with_media_stays_a_user_message() -> None:
    message = UserMessage(
        content=(TextBlock(text="[SYSTEM NOTICE] x"), IMAGE),
        render_metadata=RenderMetadata(render_class="system_notice"),
    )
    assert decode_message(encode_message(message)) == message


# -- what readers see --------------------------------------------------------------------------


def test_the_text_of_a_message_is_what_a_reader_would_see() -> None:
    spoken = AssistantMessage(
        blocks=(
            AssistantText(data=TextData(text="a")),
            Reasoning(data=TextData(text="secret")),
            ToolUse(data=ToolUseData(id="t", name="f", args=ARGS)),
            AssistantText(data=TextData(text="b")),
        ),
        stop_reason="end_turn",
    )
    assert text_of_message(spoken) == "ab"
    assert text_of_message(AssistantFlat(content="flat")) == "flat"
    assert text_of_message(SystemMessage(content="sys")) == "sys"
    assert text_of_message(SystemNotice(kind="generic", body="b")) == "[SYSTEM NOTICE] b"
    assert text_of_message(UserMessage(content=(TextBlock(text="x"), IMAGE))) == (
        "x\n[image: image/png]"
    )
    assert text_of_message(ToolResults(results=())) == ""


def test_the_calls_of_a_message_are_told_in_order_in_both_assistant_forms() -> None:
    first, second = (ToolUseData(id=i, name=f"f{i}", args=ARGS) for i in "12")
    blocks = AssistantMessage(
        blocks=(ToolUse(data=first), AssistantText(data=TextData(text="")), ToolUse(data=second)),
        stop_reason="tool_use",
    )
    flat = AssistantFlat(
        content="",
        tool_calls=tuple(
            LegacyToolCall(id=u.id, name=u.name, args=u.args) for u in (first, second)
        ),
    )
    assert tool_uses(blocks) == tool_uses(flat) == (first, second)
    assert tool_uses(UserMessage(content="x")) == ()
