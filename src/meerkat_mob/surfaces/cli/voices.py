"""Who answers for the members of a run, when it is not a server.

Offline a team plays a script: the one given, else the pack's own, else the plain rule. Nothing
falls back to any of them: they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meerkat_mob.llm import (
    SCRIPTED,
    LlmClient,
    PerformanceLlm,
    PlainLlm,
    load_performance,
    parse_performance,
)
from meerkat_mob.mob.definition import Pack
from meerkat_mob.surfaces.cli.options import RunOptions
from meerkat_mob.surfaces.playing import Paced

READABLE_MS: Final = 55
"""Between two words, for a person who reads along."""


def scripted_voice(
    options: RunOptions, pack: Pack, models: Sequence[str], *, in_terminal: bool
) -> LlmClient | None:
    """The client that plays the team offline; None when models are asked.

    Raises ``DefinitionInvalid`` and ``DefinitionUnreadable`` for a script that cannot be played.
    """
    client: LlmClient
    if options.script is not None:
        client = PerformanceLlm(
            load_performance(options.script), pace_ms=0, source=str(options.script)
        )
    elif any(model != SCRIPTED for model in models):
        return None
    elif pack.performance is not None:
        client = PerformanceLlm(parse_performance(pack.performance), pace_ms=0)
    else:
        client = PlainLlm()
    usual_ms = READABLE_MS if in_terminal else 0
    pace_ms = usual_ms if options.pace_ms is None else options.pace_ms
    return Paced(client, pace_ms) if pace_ms else client


def voice_in_words(options: RunOptions, pack: Pack, models: Sequence[str]) -> str:
    """Who answers, for the first line of the log."""
    if options.script is not None:
        return f"played offline by {options.script}"
    if all(model == SCRIPTED for model in models):
        rule = "the plain rule" if pack.performance is None else "the pack's performance.toml"
        return f"played offline by {rule}"
    return ", ".join(dict.fromkeys(models)) + (
        f" at {options.base_url}" if options.base_url else ""
    )
