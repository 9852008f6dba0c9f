"""Many sessions: ten thousand to be listed, two hundred that take turns at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.sessions import PersistentSessionService, SessionQuery
from meerkat_mob.sessions.facts import opening
from meerkat_mob.sessions.fold import STREAM, encode_head, head_of, summary_from
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store import Append
from meerkat_mob.store.file import verify
from meerkat_mob.store.file.flock import flock
from meerkat_mob.testing import a_request, a_turn
from meerkat_mob.testing.builders import NEW_YEAR_2030
from tests.sessions.host.talk import forms_of
from tests.sessions.host.worker import opened, serve

MANY: Final = 10_000
TOGETHER: Final = 200


@asynccontextmanager
async def a_realm(folder: Path) -> AsyncGenerator[PersistentSessionService, None]:
    store = await opened(folder)
    service = await serve(store)
    yield service
    await service.aclose()
    await store.aclose()


def stored(number: int) -> Append:
    """A session that somebody made long ago; the names are in no order."""
    state = SessionState(
        session_id=f"{number * 7919 % MANY:05}",
        created_at=NEW_YEAR_2030 + number,
        updated_at=NEW_YEAR_2030 + number,
        metadata=SessionMetadata(model="scripted", max_tokens=100, provider="other"),
        transcript=Transcript(),
        labels={"team": f"team {number % 100}", "side": "left" if number % 2 else "right"},
    )
    return Append(
        stream=STREAM + state.session_id,
        expected=0,
        records=opening(state),
        head=encode_head(head_of(state)),
    )


@pytest.mark.native_only
async def test_ten_thousand_sessions_are_listed_page_by_page(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for start in range(0, MANY, 1000):
        await store.commit([stored(number) for number in range(start, start + 1000)])
    await store.aclose()
    async with a_realm(tmp_path) as service:
        found: list[str] = []
        while page := await service.list(SessionQuery(offset=len(found), limit=700)):
            found += (summary.session_id for summary in page)
        assert found == [f"{number * 7919 % MANY:05}" for number in range(MANY)]
        assert len(await service.list(SessionQuery())) == MANY

        team = SessionQuery(labels={"team": "team 7"})
        assert [s.session_id for s in await service.list(team)] == found[7::100]
        page = await service.list(msgspec.structs.replace(team, offset=40, limit=20))
        assert [s.session_id for s in page] == found[7::100][40:60]
        assert not await service.list(SessionQuery(labels={"team": "team 7", "side": "right"}))

        await service.archive(found[7])
        await service.start_turn(found[107], a_turn("0.0"))
        left = await service.list(team)
        assert [s.session_id for s in left] == found[107::100]
        assert left[0].message_count == 2


@pytest.mark.native_only
async def test_two_hundred_sessions_take_turns_at_once(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(TOGETHER)]
    async with a_realm(tmp_path) as service:

        async def talk(number: int) -> None:
            request = a_request(f"{number}.0 ", session_id=names[number])
            await service.create_session(request)
            for turn in (4, 8):
                await service.start_turn(names[number], a_turn(f"{number}.{turn} "))

        async with asyncio.TaskGroup() as group:
            for number in range(TOGETHER):
                group.create_task(talk(number))
    report = verify(tmp_path, lock=flock, folds={STREAM: summary_from})
    assert report.clean
    assert report.streams == TOGETHER
    async with a_realm(tmp_path) as service:
        for number, name in enumerate(names):
            history = await service.read_history(name)
            said = [text for _, text in forms_of(history.messages)]
            places = [f"{number}.{turn}" for turn in (0, 4, 8)]
            assert said == [text for p in places for text in (f"{p} ", f"Answer {p}.")]
