"""What the methods about inputs take: an input in its written form (spec sessions 5.2).

``core.input_wire`` reads what was kept, and is tolerant; a caller is told of every fault and its
place instead, and of every key that has no effect here. What an input means, that module decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TypeAlias, cast

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import ContentBlock, text_of
from meerkat_mob.core.input_wire import OLD_TAGS, RuntimeTurnMetadata, decode_input
from meerkat_mob.core.inputs import (
    ContinuationInput,
    ExternalEventInput,
    Input,
    InputHeader,
    OperationInput,
    PeerInput,
)
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.strict import Dialect, is_table
from meerkat_mob.core.times import instant_ms
from meerkat_mob.errors import InvalidParams
from meerkat_mob.surfaces.rpc.params import OfSession, Text


class WrittenPrompt(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="prompt"
):
    """A prompt. With ``blocks`` these are what is said, and ``text`` is no more than their text."""

    header: InputHeader
    text: str
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    turn_metadata: RuntimeTurnMetadata | UnsetType = UNSET


class WrittenFlowStep(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="flow_step"
):
    """A step of a flow; its texts are as in a prompt."""

    header: InputHeader
    step_id: str
    instructions: str
    blocks: tuple[ContentBlock, ...] | UnsetType = UNSET
    turn_metadata: RuntimeTurnMetadata | UnsetType = UNSET


WrittenInput: TypeAlias = (
    WrittenPrompt
    | PeerInput
    | WrittenFlowStep
    | ExternalEventInput
    | ContinuationInput
    | OperationInput
)


class AcceptInput(OfSession, frozen=True, kw_only=True):
    """An input for a session. Its header says who sends it, and under which id it will be known."""

    input: WrittenInput


class OfInput(OfSession, frozen=True, kw_only=True):
    """An input of a session."""

    input_id: Text


def in_todays_form(given: object) -> object:
    """Params of ``runtime/accept`` with earlier names of kinds and other forms of an instant.

    What is none of these stays as it is: the walk over the params tells what is wrong with it.
    """
    if not is_table(given) or not is_table(item := given.get("input")):
        return given
    modern = dict(item)
    tag, header = item.get("input_type"), item.get("header")
    if isinstance(tag, str):
        modern["input_type"] = OLD_TAGS.get(tag, tag)
    if is_table(header) and "timestamp" in header:
        with suppress(ValueError):
            instant = instant_ms(cast("Json", header["timestamp"]))
            modern["header"] = {**header, "timestamp": instant}
    return {**given, "input": modern}


def input_of(written: WrittenInput) -> Input:
    """The input that was meant.

    Raises ``InvalidParams`` for one that nobody could name again, and for words that nobody would
    hear: beside ``blocks`` a text is not said a second time.
    """
    header = written.header
    for name, said in (("id", header.id), ("idempotency_key", header.idempotency_key)):
        if said == "":
            raise InvalidParams(
                what="must not be empty",
                path=f"input.header.{name}",
                hint="nothing was done: say one that is yours alone, such as a UUID",
            )
    if isinstance(written, WrittenPrompt):
        _insist_on_all("text", written.text, written.blocks)
    if isinstance(written, WrittenFlowStep):
        _insist_on_all("instructions", written.instructions, written.blocks)
    try:
        return decode_input(msgspec.json.encode(written))
    except ValueError as fault:
        raise InvalidParams(
            what=str(fault), path="input", hint="nothing was done: correct it and send it again"
        ) from fault


def _insist_on_all(name: str, text: str, blocks: tuple[ContentBlock, ...] | UnsetType) -> None:
    said = text_of(blocks or ())
    if blocks and any(line.strip() not in said for line in text.splitlines()):
        raise InvalidParams(
            what="says what no block says, and with blocks only these are said",
            path=f"input.{name}",
            hint="nothing was done: make it a text block, or leave it empty",
        )


_LATER: Final = "this version does not do it yet, so nothing was done"
_ONE_QUEUE: Final = "inputs wait in one queue and none takes the place of another"

INPUT_DIALECT: Final = Dialect(
    unsupported=cast(
        "Mapping[type, Mapping[str, str]]",
        {
            InputHeader: {"supersession_key": _ONE_QUEUE},
            RuntimeTurnMetadata: dict.fromkeys(
                (
                    "keep_alive",
                    "skill_references",
                    "flow_tool_overlay",
                    "model",
                    "provider",
                    "provider_params",
                    "execution_kind",
                ),
                _LATER,
            ),
        },
    )
)
