"""The kit that ships for tests of teams: virtual time, a scripted model, builders and contracts.

Shipped code never imports this package, and nothing here knows a test framework. The contracts
are in ``session_contract`` and ``store_contract``.
"""

from meerkat_mob.llm.cassette import Cassette, decode_cassette, encode_cassette
from meerkat_mob.llm.lines import Line, Script, asked, when
from meerkat_mob.llm.recording import Recorder, Replay
from meerkat_mob.llm.reply import Call, Reply, call, fail, hang, say, think
from meerkat_mob.llm.scripted import ScriptedLlm
from meerkat_mob.testing.builders import (
    a_clock,
    a_notice,
    a_peer_message,
    a_prompt,
    a_request,
    a_service,
    a_session,
    a_tool,
    a_tool_that_echoes,
    a_tool_that_fails,
    a_tool_that_hangs,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
    some_ids,
    the_loop_s_clock,
    the_next,
)
from meerkat_mob.testing.expect import Refusal, holds, refuses, same
from meerkat_mob.testing.virtual_clock import VirtualClockLoop, run

__all__ = (
    "Call",
    "Cassette",
    "Line",
    "Recorder",
    "Refusal",
    "Replay",
    "Reply",
    "Script",
    "ScriptedLlm",
    "VirtualClockLoop",
    "a_clock",
    "a_notice",
    "a_peer_message",
    "a_prompt",
    "a_request",
    "a_service",
    "a_session",
    "a_tool",
    "a_tool_that_echoes",
    "a_tool_that_fails",
    "a_tool_that_hangs",
    "a_tool_that_waits",
    "a_turn",
    "a_turn_at",
    "asked",
    "call",
    "decode_cassette",
    "encode_cassette",
    "fail",
    "hang",
    "holds",
    "refuses",
    "run",
    "same",
    "say",
    "some_ids",
    "the_loop_s_clock",
    "the_next",
    "think",
    "when",
)
