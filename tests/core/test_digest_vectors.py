"""The digests that the Rust system computes, for conversations in the form in which it stores them.

``args_in`` are tool arguments as a model wrote them: they are brought into the stored form first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from meerkat_mob.core.arguments import normalise_arguments
from meerkat_mob.core.messages import decode_message, encode_message
from meerkat_mob.core.session import decode_session
from meerkat_mob.core.transcript import Transcript


class Vector(msgspec.Struct, frozen=True):
    """A conversation as stored, its digest, and arguments that become the ones in it."""

    name: str
    stored: str
    sha256: str
    args_in: str | None = None


VECTORS = [
    Vector(
        "empty conversation",
        "[]",
        "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    ),
    Vector(
        "system and user",
        '[{"role":"system","content":"You are terse."},{"role":"user","content":"Hello"}]',
        "39747144c16254ed8a84c38771ac2d8add605ab850d6abf00f061e1830dc693a",
    ),
    Vector(
        "assistant text",
        '[{"role":"user","content":"Hi"},{"role":"block_assistant","blocks":[{"block_type'
        '":"text","data":{"text":"Hello."}}],"stop_reason":"end_turn"}]',
        "eaf10c6bef43aaafb7312e5295b41e12732ee393019c8352005629af2fe32247",
    ),
    Vector(
        "tool call and result",
        '[{"role":"user","content":"Weather?"},{"role":"block_assistant","blocks":[{"bloc'
        'k_type":"tool_use","data":{"id":"t1","name":"get_weather","args":{"city":"Paris"'
        '}}}],"stop_reason":"tool_use"},{"role":"tool_results","results":[{"tool_use_id":'
        '"t1","content":"18 C","is_error":false}]}]',
        "9087e082ac0f317d4e02c8816f7dcfaa2981261bff92f57eb01067d63a7255d9",
    ),
    Vector(
        "blocks, metadata, notice",
        '[{"role":"user","content":[{"type":"text","text":"Look"},{"type":"image","media_'
        'type":"image/png","source":"blob","blob_id":"sha256:00"}],"render_metadata":{"cl'
        'ass":"user_prompt","salience":"important"}},{"role":"system_notice","kind":"mcp_'
        'pending","body":"1 server connecting"}]',
        "b8d8e0e127a05cd0c05097719a9a19791e4bf041ebb226e0cac4b39940aac11b",
    ),
    Vector(
        "normalised arguments",
        '[{"role":"user","content":"go"},{"role":"block_assistant","blocks":[{"block_type'
        '":"tool_use","data":{"id":"a","name":"f","args":{"a":[1,2],"b":1.5,"c":1e-7}}}],'
        '"stop_reason":"tool_use"}]',
        "c1c017ece0c1750d39056a3283eef6e38f5af6be9c94b15c21d7c14683be575e",
        '{ "b" : 1.50, "a":[1, 2], "c": 1E-7 }',
    ),
    Vector(
        "legacy assistant message",
        '[{"role":"assistant","content":"ok","tool_calls":[],"stop_reason":"end_turn","us'
        'age":{"input_tokens":3,"output_tokens":1,"cache_creation_tokens":null,"cache_rea'
        'd_tokens":null}}]',
        "4868c588c3e4127984385566c202c3a87bb20dd7016be8780a46a780a5c10dc9",
    ),
]

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def stored_in(vector: Vector) -> tuple[bytes, ...]:
    return tuple(bytes(raw) for raw in msgspec.json.decode(vector.stored, type=list[msgspec.Raw]))


@every_vector
def test_a_stored_conversation_has_the_digest_that_the_rust_system_computes(vector: Vector) -> None:
    assert hashlib.sha256(vector.stored.encode()).hexdigest() == vector.sha256
    assert Transcript.from_encoded(stored_in(vector)).digest() == vector.sha256


@every_vector
def test_the_same_messages_said_here_are_stored_as_the_same_bytes(vector: Vector) -> None:
    messages = [decode_message(raw) for raw in stored_in(vector)]
    assert tuple(encode_message(message) for message in messages) == stored_in(vector)
    assert Transcript.of(messages).digest() == vector.sha256


@every_vector
def test_a_session_that_comes_from_there_keeps_its_digest(vector: Vector) -> None:
    document = {
        "version": 1,
        "id": "s",
        "messages": msgspec.Raw(vector.stored.encode()),
        "created_at": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
        "updated_at": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
    }
    session = decode_session(msgspec.json.encode(document))
    assert session.history.digest() == vector.sha256
    assert len(session.messages) == len(stored_in(vector))


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.args_in], ids=lambda v: v.name)
def test_arguments_are_normalised_as_they_are_there(vector: Vector) -> None:
    args = bytes(normalise_arguments(vector.args_in or ""))
    assert b'"args":' + args + b"}" in vector.stored.encode()


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ('{"a": -0}', '{"a":-0.0}'),
        ('{"a": [-0, 0, -0.0, -0e3, -1]}', '{"a":[-0.0,0,-0.0,-0.0,-1]}'),
        ('{"-0": "-0 and -0"}', '{"-0":"-0 and -0"}'),
        ('{"b": 1, "a": "x-0", "b": -0}', '{"a":"x-0","b":-0.0}'),
        (
            '{"a": 1e16, "b": 1e15, "c": 0.00001, "d": 0.000001}',
            '{"a":1e16,"b":1000000000000000.0,"c":0.00001,"d":1e-6}',
        ),
        (
            '{"a": 18446744073709551615, "b": 18446744073709551616, "c": -9223372036854775809}',
            '{"a":18446744073709551615,"b":1.8446744073709552e19,"c":-9.223372036854776e18}',
        ),
    ],
    ids=["minus zero", "zeros", "in texts", "beside texts", "shortest", "beyond 64 bits"],
)
def test_numbers_are_written_as_they_are_there(written: str, stored: str) -> None:
    """Its integers have no minus zero, so that becomes a float."""
    assert bytes(normalise_arguments(written)).decode() == stored
    assert bytes(normalise_arguments(stored)).decode() == stored


def test_vectors_that_lie_beside_the_repository_agree_too() -> None:
    """Where there are any; those above are a copy of them."""
    for folder in Path(__file__).resolve().parents:
        for file in (folder / "shared" / "spec").glob("digest_vectors*.json"):
            for found in msgspec.json.decode(file.read_bytes()):
                raws = msgspec.json.decode(found["json"], type=list[msgspec.Raw])
                again = [encode_message(decode_message(raw)) for raw in raws]
                assert Transcript.from_encoded(again).digest() == found["sha256"], found["name"]
