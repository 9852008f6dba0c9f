"""Inputs as they are kept: written in one form, read from that and from older ones.

What is written is upstream's form (spec sessions 5.2): a prompt has its text and, when it came in
blocks, those too; what concerns its turn is in ``turn_metadata``. Reading tolerates unknown keys,
null for absent, both earlier forms of an instant and the earlier names of two kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import NO_BLOBS, Blob, without_inline_images
from meerkat_mob.core.content import Content, ContentBlock, text_of
from meerkat_mob.core.foreign import without_nulls
from meerkat_mob.core.inputs import (
    ContinuationInput,
    ExternalEventInput,
    FlowStepInput,
    Input,
    InputHeader,
    OperationInput,
    PeerInput,
    PromptInput,
)
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import HandlingMode, RenderMetadata
from meerkat_mob.core.safe_json import refuse_deep
from meerkat_mob.core.times import instant_ms
from meerkat_mob.errors import InvalidParams


class RuntimeTurnMetadata(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an input says of its turn. Keys that have no effect here are not read."""

    handling_mode: HandlingMode | UnsetType = UNSET
    additional_instructions: tuple[str, ...] | UnsetType = UNSET
    render_metadata: RenderMetadata | UnsetType = UNSET


_NOTHING_SAID: Final = RuntimeTurnMetadata()


class _Prompt(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="prompt"
):
    """A prompt as written; ``text`` is the text projection of ``blocks``, if there are any."""

    header: InputHeader
    text: str
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    turn_metadata: RuntimeTurnMetadata | UnsetType = UNSET


class _FlowStep(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="input_type", tag="flow_step"
):
    """A step as written; its texts are as in a prompt."""

    header: InputHeader
    step_id: str
    instructions: str
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    turn_metadata: RuntimeTurnMetadata | UnsetType = UNSET


_Written: TypeAlias = (
    _Prompt | PeerInput | _FlowStep | ExternalEventInput | ContinuationInput | OperationInput
)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[_Written]] = msgspec.json.Decoder(_Written)

OLD_TAGS: Final[Mapping[str, str]] = {
    "system_generated": "continuation",
    "projected": "operation",
}
"""What two kinds were called before."""

_MEDIA_IN: Final[Mapping[type[Input], str]] = {
    PromptInput: "content",
    FlowStepInput: "instructions",
    PeerInput: "blocks",
    ExternalEventInput: "blocks",
}
_OPAQUE: Final = ("payload", "event", "params")
"""Members whose shape is not ours: a null inside says something."""


def encode_input(item: Input) -> bytes:
    """The stored bytes of an input.

    Raises ``InvalidParams`` for what ``decode_input`` could not read back: what is no JSON, no
    Unicode, or nested too deeply.
    """
    try:
        raw = _encoder.encode(_written(item))
        refuse_deep(raw)
        return raw
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise InvalidParams(
            what=f"this cannot be kept as JSON: {fault}", path="input", hint="send Unicode and JSON"
        ) from fault


def decode_input(raw: bytes | msgspec.Raw) -> Input:
    """An input from its stored bytes, or from an older form. Raises ``ValueError`` for none."""
    refuse_deep(raw)
    try:
        return _read(_decoder.decode(raw))
    except msgspec.ValidationError:
        return _decode_older(raw)
    except msgspec.DecodeError as fault:
        raise ValueError(f"not an input: {fault}") from fault


def kept_input(item: Input) -> tuple[Input, Mapping[str, Blob]]:
    """The input with its inline images replaced by their names, and those images (DUR-1)."""
    place = _MEDIA_IN.get(type(item))
    content: Content | UnsetType = UNSET if place is None else getattr(item, place)
    if place is None or content is UNSET:
        return item, NO_BLOBS
    named, moved = without_inline_images(content)
    return (msgspec.structs.replace(item, **{place: named}) if moved else item), moved


# -- between what is written and what is meant -------------------------------------------------


def _written(item: Input) -> _Written:
    match item:
        case PromptInput(header=header, content=content):
            return _Prompt(
                header=header,
                text=text_of(content),
                blocks=UNSET if isinstance(content, str) else content,
                turn_metadata=_metadata_of(item),
            )
        case FlowStepInput(header=header, instructions=content):
            return _FlowStep(
                header=header,
                step_id=item.step_id,
                instructions=text_of(content),
                blocks=UNSET if isinstance(content, str) else content,
                turn_metadata=_metadata_of(item),
            )
        case _:
            return item


def _read(written: _Written) -> Input:
    match written:
        case _Prompt(header=header, turn_metadata=said):
            said = _NOTHING_SAID if said is UNSET else said
            return PromptInput(
                header=header,
                content=_content(written.text, written.blocks),
                handling_mode=said.handling_mode,
                render_metadata=said.render_metadata,
                additional_instructions=said.additional_instructions or (),
            )
        case _FlowStep(header=header, turn_metadata=said):
            said = _NOTHING_SAID if said is UNSET else said
            return FlowStepInput(
                header=header,
                step_id=written.step_id,
                instructions=_content(written.instructions, written.blocks),
                handling_mode=said.handling_mode,
                render_metadata=said.render_metadata,
                additional_instructions=said.additional_instructions or (),
            )
        case _:
            return written


def _metadata_of(item: PromptInput | FlowStepInput) -> RuntimeTurnMetadata | UnsetType:
    said = RuntimeTurnMetadata(
        handling_mode=item.handling_mode,
        additional_instructions=item.additional_instructions or UNSET,
        render_metadata=item.render_metadata,
    )
    return UNSET if said == _NOTHING_SAID else said


def _content(text: str, blocks: tuple[ContentBlock, ...] | UnsetType) -> Content:
    if blocks is UNSET or (text and not blocks):
        return text
    return blocks


# -- older and foreign forms -------------------------------------------------------------------


def _decode_older(raw: bytes | msgspec.Raw) -> Input:
    value: Json = msgspec.json.decode(raw)
    try:
        if isinstance(value, Mapping):
            value = _modern(value)
        return _read(msgspec.convert(value, _Written))
    except (msgspec.ValidationError, ValueError) as fault:
        raise ValueError(f"not an input: {fault}") from fault


def _modern(value: JsonObject) -> Json:
    item = _without_nulls(value)
    tag = item.get("input_type")
    if isinstance(tag, str):
        item["input_type"] = OLD_TAGS.get(tag, tag)
    header = item.get("header")
    if isinstance(header, Mapping) and "timestamp" in header:
        item["header"] = {**header, "timestamp": instant_ms(header["timestamp"])}
    convention = value.get("convention")
    if isinstance(convention, Mapping):
        item["convention"] = _without_nulls(convention)
    return item


def _without_nulls(value: JsonObject) -> dict[str, Json]:
    clean = without_nulls({k: v for k, v in value.items() if k not in _OPAQUE})
    opaque = {k: value[k] for k in _OPAQUE if k in value}
    return {**clean, **opaque} if isinstance(clean, Mapping) else opaque
