"""Whose session it is: told from what is stored of it, and only when everything agrees.

Each test names the lines of the interface's Rust source that it stands for (docs/departures.md).
"""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from meerkat_mob.comms import Router
from meerkat_mob.core.metadata import PeerMeta, SessionMetadata
from meerkat_mob.core.requests import SessionBuildOptions
from meerkat_mob.errors import StoreClosed, StoreCorrupt
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import Mob
from meerkat_mob.mob.session_service import is_bound_to
from meerkat_mob.sessions import SessionService
from meerkat_mob.store import Append, MemoryStore, NewRecord
from meerkat_mob.testing.builders import a_clock, a_persistent_service, a_session, some_ids
from tests import strategies
from tests.mob.session_services import (
    OpenService,
    a_bound_request,
    a_silent_service,
    a_view,
    every_lasting_home,
    foreign,
)
from tests.mob.teams import a_team

LABELS = {"mob_id": "team", "role": "lead", "meerkat_id": "ada"}
BOUND = SessionBuildOptions(
    session_id="s",
    comms_name="team/lead/ada",
    realm_id="mob:team",
    peer_meta=PeerMeta(labels=LABELS),
)
but = partial(msgspec.structs.replace, BOUND)


def labelled(**changed: str | None) -> SessionBuildOptions:
    """The labels with these changed; None takes one away."""
    labels = {k: v for k, v in {**LABELS, **changed}.items() if v is not None}
    return but(peer_meta=PeerMeta(labels=labels))


async def belongs(service: SessionService, options: SessionBuildOptions, mob_id: str) -> bool:
    await service.create_session(a_bound_request(options))
    return await a_view(service).session_belongs_to_mob("s", mob_id)


@every_lasting_home
async def test_a_session_that_says_so_everywhere_belongs_to_the_mob(home: OpenService) -> None:
    """Lines 40-75 and 288-294: whatever other labels it has."""
    async with home(ScriptedLlm([])) as service:
        assert await belongs(service, labelled(team="blue"), "team")
        assert not await a_view(service).session_belongs_to_mob("s", "other")


@pytest.mark.parametrize(
    "options",
    [
        but(comms_name=None),
        but(comms_name=""),
        but(comms_name="team"),
        but(comms_name="team/lead"),
        but(comms_name="team/lead/ada/more"),
        but(comms_name="team/lead/ada/"),
        but(comms_name="/lead/ada"),
        but(comms_name="team//ada"),
        but(comms_name="team/lead/"),
        but(comms_name="other/lead/ada"),
        but(comms_name="team/dev/ada"),
        but(comms_name="team/lead/bob"),
        but(realm_id=UNSET),
        but(realm_id=""),
        but(realm_id="team"),
        but(realm_id="mob:other"),
        but(realm_id="mob:team "),
        but(peer_meta=UNSET),
        but(peer_meta=PeerMeta()),
        labelled(mob_id=None),
        labelled(role=None),
        labelled(meerkat_id=None),
        labelled(mob_id="other"),
        labelled(role="dev"),
        labelled(meerkat_id="bob"),
        SessionBuildOptions(session_id="s"),
    ],
    ids=[
        "no name",
        "an empty name",
        "one part",
        "two parts",
        "four parts",
        "an empty fourth part",
        "an empty mob",
        "an empty role",
        "an empty member",
        "a name in another mob",
        "another role than the label's",
        "another member than the label's",
        "no realm",
        "an empty realm",
        "a realm that is no mob's",
        "another mob's realm",
        "a realm with a blank",
        "no metadata for peers",
        "no labels",
        "no label mob_id",
        "no label role",
        "no label meerkat_id",
        "another mob_id",
        "another role",
        "another meerkat_id",
        "nothing at all",
    ],
)
async def test_one_word_that_differs_and_it_belongs_to_somebody_else(
    options: SessionBuildOptions,
) -> None:
    """Lines 40-75, line by line."""
    service = await a_persistent_service(ScriptedLlm([]), MemoryStore(clock=a_clock()))
    assert not await belongs(service, options, "team")
    await service.aclose()


words = st.sampled_from(["", "a", "b", "a/b", "mob:a"])


@given(names=st.lists(words, max_size=4), realm=words, labels=st.tuples(words, words, words))
@example(names=["a", "b", "a"], realm="mob:a", labels=("a", "b", "a"))
@example(names=["", "", ""], realm="mob:", labels=("", "", ""))
@example(names=["a/b", "a", "b"], realm="mob:a/b", labels=("a/b", "a", "b"))
def test_it_belongs_exactly_when_all_agree(
    names: list[str], realm: str, labels: tuple[str, str, str]
) -> None:
    """Lines 40-75: the rule said the other way round, from what a member is given."""
    metadata = SessionMetadata(
        model="m",
        max_tokens=1,
        provider="other",
        comms_name="/".join(names),
        realm_id=realm,
        peer_meta=PeerMeta(labels=dict(zip(LABELS, labels, strict=True))),
    )
    for mob_id in ("", "a", "b", "a/b"):
        wanted = bool(all(labels)) and not any("/" in label for label in labels)
        wanted = wanted and "/".join(names) == "/".join(labels)
        wanted = wanted and realm == f"mob:{mob_id}" and labels[0] == mob_id
        assert is_bound_to(metadata, mob_id) is wanted


@given(strategies.session_metadatas, st.text(max_size=5))
def test_no_metadata_is_too_strange_to_be_asked(metadata: SessionMetadata, mob_id: str) -> None:
    """Lines 40-75: it is false, never an error."""
    assert is_bound_to(metadata, mob_id) is False


async def test_a_session_in_memory_belongs_to_no_mob() -> None:
    """Lines 212-214: whatever it says."""
    service = a_silent_service()
    assert not await belongs(service, BOUND, "team")
    await service.aclose()


@every_lasting_home
async def test_what_was_never_stored_belongs_to_no_mob(home: OpenService) -> None:
    """Lines 288-294."""
    async with home(ScriptedLlm([])) as service:
        assert not await a_view(service).session_belongs_to_mob("ghost", "team")
        assert not await a_view(service).session_belongs_to_mob("", "")


@every_lasting_home
async def test_it_belongs_to_its_mob_also_at_rest_and_archived(home: OpenService) -> None:
    """Lines 288-294: what is stored decides, not what lives."""
    async with home(ScriptedLlm([])) as service:
        assert await belongs(service, BOUND, "team")
        view = a_view(service)
        await view.discard_live_session("s")
        assert await view.session_belongs_to_mob("s", "team")
        await view.archive("s")
        assert await view.session_belongs_to_mob("s", "team")


@pytest.mark.parametrize(
    "error",
    [StoreCorrupt(stream="session:s", seq=3, why="it was changed"), StoreClosed(path="realm")],
)
async def test_what_cannot_be_loaded_belongs_to_no_mob(error: Exception) -> None:
    """Lines 288-294: nobody can tell, so nobody claims it. Whoever loads it is told why."""

    async def load_persisted_session(session_id: str) -> None:
        del session_id
        raise error

    view = a_view(
        foreign(
            a_silent_service(),
            supports_persistent_sessions=True,
            load_persisted_session=load_persisted_session,
        )
    )
    assert await view.session_belongs_to_mob("s", "team") is False
    with pytest.raises(type(error)):
        await view.load_persisted_session("s")


async def test_a_session_with_a_damaged_record_belongs_to_no_mob() -> None:
    """Lines 288-294: no part of it is believed, though its name could be read."""
    store = MemoryStore(clock=a_clock())
    service = await a_persistent_service(ScriptedLlm([]), store)
    assert await belongs(service, BOUND, "team")
    broken = NewRecord(kind="messages", body=b"{")
    revision = await store.revision("session:s")
    await store.commit((Append(stream="session:s", expected=revision, records=(broken,)),))
    assert not await a_view(service).session_belongs_to_mob("s", "team")
    await service.aclose()


async def test_a_member_s_session_is_stored_as_its_mob_s() -> None:
    """Lines 40-75: what a spawn writes is what is asked for here; its own labels win."""
    store, ids = MemoryStore(clock=a_clock()), some_ids()
    service = await a_persistent_service(ScriptedLlm([]), store, ids=ids)
    view = a_view(service)
    mob = await Mob.create(
        a_team("lead"), service=view, store=store, router=Router(ids=ids), clock=a_clock(), ids=ids
    )
    labels = {"meerkat_id": "somebody else", "mob_id": "other", "role": "none", "shift": "night"}
    member = await mob.spawn("lead", "ada", labels=labels)
    stranger = await a_session(service)
    assert await view.session_belongs_to_mob(member.session_id, "team")
    assert not await view.session_belongs_to_mob(member.session_id, "other")
    assert not await view.session_belongs_to_mob(stranger, "team")
    await mob.shutdown()
    await view.runtime_adapter().aclose()
    await service.aclose()
