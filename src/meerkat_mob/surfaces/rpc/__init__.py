"""One JSON dispatcher, which every surface shares."""

from meerkat_mob.surfaces.rpc.dispatcher import METHODS, Dispatcher
from meerkat_mob.surfaces.rpc.faults import CallError, call_error
from meerkat_mob.surfaces.rpc.methods import Method, Run, call_method, method, read_params
from meerkat_mob.surfaces.rpc.streams import Notification, Notify, stream_ids
from meerkat_mob.surfaces.rpc.wire import Reply, Request, answer, encode_line, read_request

__all__ = (
    "METHODS",
    "CallError",
    "Dispatcher",
    "Method",
    "Notification",
    "Notify",
    "Reply",
    "Request",
    "Run",
    "answer",
    "call_error",
    "call_method",
    "encode_line",
    "method",
    "read_params",
    "read_request",
    "stream_ids",
)
