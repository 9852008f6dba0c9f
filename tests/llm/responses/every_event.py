"""One of each event that a server may send and that we do nothing with. No tests."""

from __future__ import annotations

from tests.llm.responses.kit import Event, at, event, response, search, words

_CITATION = {
    "type": "url_citation",
    "url": "http://o",
    "title": "Otters",
    "start_index": 0,
    "end_index": 3,
}

_COMMAND = {"output_index": 3, "command_index": 0}

PASSED_OVER: list[Event] = [
    event("response.created", response=response("in_progress")),
    event("response.queued", response=response("queued")),
    event("response.in_progress", response=response("in_progress")),
    event("response.audio.delta", delta="QUJD"),
    event("response.audio.done"),
    event("response.audio.transcript.delta", delta="no text"),
    event("response.audio.transcript.done"),
    event("response.code_interpreter_call_code.delta", **at(3), delta="no text"),
    event("response.code_interpreter_call_code.done", **at(3), code="no text"),
    *(
        event(f"response.code_interpreter_call.{step}", **at(3))
        for step in ("in_progress", "interpreting", "completed")
    ),
    event("response.compaction.compacting", **at(3)),
    event("response.content_part.added", **at(3, content_index=0), part=words("")),
    event("response.content_part.done", **at(3, content_index=0), part=words("told before")),
    event("response.custom_tool_call_input.delta", **at(3), delta="no text"),
    event("response.custom_tool_call_input.done", **at(3), input="no text"),
    *(
        event(f"response.file_search_call.{step}", **at(3))
        for step in ("in_progress", "searching", "completed")
    ),
    event("response.function_call_arguments.done", **at(3), arguments="{}"),
    *(
        event(f"response.image_generation_call.{step}", **at(3))
        for step in ("in_progress", "generating", "completed")
    ),
    event(
        "response.image_generation_call.partial_image",
        **at(3),
        partial_image_b64="QUJD",
        partial_image_index=0,
    ),
    event("response.mcp_call_arguments.delta", **at(3), delta="{}"),
    event("response.mcp_call_arguments.done", **at(3), arguments="{}"),
    *(
        event(f"response.{kind}.{step}", **at(3))
        for kind in ("mcp_call", "mcp_list_tools")
        for step in ("in_progress", "completed", "failed")
    ),
    event("response.output_text.done", **at(3, content_index=0), text="told before", logprobs=[]),
    event(
        "response.output_text.annotation.added",
        **at(3, content_index=0, annotation_index=0),
        annotation=_CITATION,
    ),
    event(
        "response.reasoning_summary_part.added",
        **at(3, summary_index=0),
        part={"type": "summary_text", "text": ""},
    ),
    event(
        "response.reasoning_summary_part.done",
        **at(3, summary_index=0),
        part={"type": "summary_text", "text": "told before"},
    ),
    event("response.reasoning_summary_text.done", **at(3, summary_index=0), text="told before"),
    event("response.reasoning_text.done", **at(3, content_index=0), text="told before"),
    event("response.refusal.done", **at(3, content_index=0), refusal="told before"),
    event("response.shell_call_command.added", **_COMMAND, command="no text"),
    event("response.shell_call_command.delta", **_COMMAND, delta="no text"),
    event("response.shell_call_command.done", **_COMMAND, command="no text"),
    event(
        "response.shell_call_output_content.delta",
        **at(3, command_index=0),
        delta={"stdout": "no text"},
    ),
    event("response.shell_call_output_content.done", **at(3, command_index=0), output=[]),
    *(
        event(f"response.web_search_call.{step}", **at(3))
        for step in ("in_progress", "searching", "completed")
    ),
    event("response.output_item.added", output_index=3, item=search(3)),
    event("response.output_item.done", output_index=3, item=search(3)),
]
"""Documented ones; ``tests/llm/sdk`` holds them against OpenAI's own types."""

UNHEARD_OF: list[Event] = [
    event("response.hologram.delta", **at(3), delta={"depth": [1]}),
    event("codex.rate_limits", plan="pro", error={"not": "ours"}),
    event(
        "response.output_item.done",
        output_index=3,
        item={"type": "hologram", "id": 5, "arguments": {"a": 1}, "summary": "no list"},
    ),
    {"type": 5},
    {},
]
"""Ones that do not exist, yet."""
