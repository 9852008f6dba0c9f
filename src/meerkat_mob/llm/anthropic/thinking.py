"""What Anthropic's server asks of a request that tells its model to think. No I/O in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import AssistantFlat, AssistantMessage, Message, ToolResults
from meerkat_mob.llm.anthropic.conversation import begins_with_thought


def kind_of(body: Mapping[str, Json]) -> Json:
    """How it is told to: ``adaptive``, ``enabled`` (for so many tokens), ``disabled``, or not."""
    thinking = body.get("thinking")
    return thinking.get("type") if isinstance(thinking, Mapping) else None


def budget_of(body: Mapping[str, Json]) -> Json:
    """For how many tokens; None when that is not said."""
    thinking = body.get("thinking")
    return thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None


def thinks(body: Mapping[str, Json]) -> bool:
    """Whether it is told to think at all."""
    return isinstance(body.get("thinking"), Mapping) and kind_of(body) != "disabled"


def thinks_too_long(body: Mapping[str, Json]) -> bool:
    """Thinking is among the tokens of an answer; the server refuses a budget that is all of it."""
    budget, most = budget_of(body), body.get("max_tokens")
    return isinstance(budget, int) and isinstance(most, int) and most <= budget


def goes_on_without_thought(body: Mapping[str, Json], messages: Sequence[Message]) -> bool:
    """Whether an answer that tools are part of began without a thought: another model's, say.

    A model that was told to think for so many tokens is refused it then, until it is asked anew.
    """
    if kind_of(body) != "enabled":
        return False
    begin: AssistantMessage | AssistantFlat | None = None
    has_results, in_answer = False, False
    for message in reversed(messages):
        if isinstance(message, AssistantMessage | AssistantFlat):
            if not (has_results or in_answer):
                break
            begin, has_results, in_answer = message, False, True
        else:
            has_results, in_answer = has_results or isinstance(message, ToolResults), False
    return begin is not None and not begins_with_thought(begin)
