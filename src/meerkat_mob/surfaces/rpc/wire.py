"""Requests and replies as JSON texts, for surfaces that speak in messages.

``{id, method, params}`` is answered by ``{id, result}`` or ``{id, error}``; what is no request is
answered with the id null. Notifications have no id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.safe_json import decode_json
from meerkat_mob.core.strict import PLAIN
from meerkat_mob.errors import InvalidParams
from meerkat_mob.surfaces.rpc.faults import CallError, call_error
from meerkat_mob.surfaces.rpc.methods import read_params
from meerkat_mob.surfaces.rpc.streams import Notification


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call. ``id`` comes back with its answer."""

    id: str | int
    method: str
    params: Json = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: a result, or an error."""

    id: str | int | None
    result: object | UnsetType = UNSET
    error: CallError | UnsetType = UNSET


def read_request(text: str | bytes) -> Request:
    """A request from its text. Raises ``InvalidParams`` for what is none."""
    try:
        data = decode_json(text)
    except ValueError as fault:
        raise InvalidParams(
            what=str(fault), path="request", hint="send one JSON object for each call"
        ) from None
    return read_params(Request, data, dialect=PLAIN)


async def answer(dispatch: Callable[[str, object], Awaitable[object]], text: str | bytes) -> Reply:
    """Does what a request asks for. Raises nothing but ``CancelledError``."""
    request_id: str | int | None = None
    try:
        request = read_request(text)
        request_id = request.id
        return Reply(id=request_id, result=await dispatch(request.method, request.params))
    except Exception as error:  # a wire has no other way to hear of it
        return Reply(id=request_id, error=call_error(error))


def encode_line(message: Reply | Notification) -> str:
    """A reply or a notification as one line of JSON."""
    return msgspec.json.encode(message).decode()
