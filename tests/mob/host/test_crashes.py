"""A team that is killed in mid-conversation comes back: nothing told is lost, nothing is doubled.

A process has a team of five at work and says what was accepted for whom; it is killed with SIGKILL
at random instants, three lives one after the other in each realm. Brought back, every text that was
acknowledged is in its member's history once, what was relayed arrived at most once, and the lead
answers. This is a sample; with MEERKAT_CRASHES in the environment it is that many kills.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from meerkat_mob import open_realm
from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.mob.outside import verify_realm
from tests.mob.host.team_at_work import ROLES, TEXTS, a_model
from tests.store.host.nursery import ROOT

pytestmark = pytest.mark.native_only

LIVES = 3
REALMS = max(2, int(os.environ.get("MEERKAT_CRASHES", "6")) // LIVES)


def one_life(realm: Path, life: str, dice: random.Random) -> list[tuple[str, str]]:
    """What was acknowledged before the kill."""
    command = [sys.executable, "-m", "tests.mob.host.team_at_work", str(realm), life]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    told: list[tuple[str, str]] = []
    assert process.stdout
    for _ in range(dice.randrange(1, TEXTS)):
        line = process.stdout.readline()
        if not line:
            break
        told.append(_read(line))
    time.sleep(dice.uniform(0, 0.005))  # somewhere in what the next text sets off
    process.kill()
    told += map(_read, process.communicate()[0].splitlines())
    return told


def _read(line: str) -> tuple[str, str]:
    member, _, text = line.strip().partition(" ")
    return member, text


async def heard_by_each(realm: Path) -> dict[str, list[str]]:
    """The team comes back, works to its end, and answers; what each member was told."""
    async with open_realm(realm, llm=a_model()) as opened:
        mob = await opened.resume_mob("team")
        await mob.wait_idle()
        assert [e.member for e in mob.members() if e.broken] == []
        heard: dict[str, list[str]] = {}
        for entry in mob.members():
            history = await opened.sessions.read_history(entry.session_id)
            texts = [text_of_message(m) for m in history.messages if isinstance(m, UserMessage)]
            heard[entry.member] = texts
        if "lead" in heard:
            assert await mob.member("lead").ask("well?") == "read"
        return heard


def test_killed_at_random_instants_a_team_loses_nothing_and_does_nothing_twice(
    tmp_path: Path,
) -> None:
    dice, histogram = random.Random(7), Counter[int]()
    for number in range(REALMS):
        realm = tmp_path / f"realm-{number}"
        told: list[tuple[str, str]] = []
        for life in range(LIVES):
            acknowledged = one_life(realm, str(life), dice)
            histogram[len(acknowledged) // 8 * 8] += 1
            told += acknowledged
        heard = asyncio.run(heard_by_each(realm))
        counts = {member: Counter(texts) for member, texts in heard.items()}
        assert [(m, text) for m, text in told if counts[m][text] != 1] == []
        relayed = Counter(
            text for role in ROLES for text in heard.get(role, []) if "\nrelayed " in text
        )
        assert [text for text, times in relayed.items() if times > 1] == []
        assert verify_realm(realm).ok
    sys.stdout.write(f"texts acknowledged before a kill, by eights: {sorted(histogram.items())}\n")
