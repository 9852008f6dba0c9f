"""Every store keeps every rule, and agrees with the simplest model of a store."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import DuplicateKey, StaleRevision
from meerkat_mob.store import Append, MemoryStore, NewRecord, Store
from meerkat_mob.store.file import InlineLane, open_file_store
from meerkat_mob.testing.builders import a_clock
from meerkat_mob.testing.store_contract import RULES, OpenStore, StoreRule


@contextmanager
def in_memory() -> Generator[OpenStore, None, None]:
    store = MemoryStore(clock=a_clock(step=1))

    @asynccontextmanager
    async def open_store() -> AsyncGenerator[Store, None]:
        yield store
        await store.aclose()

    yield open_store


@contextmanager
def in_a_file() -> Generator[OpenStore, None, None]:
    """Inline, so that it also runs on the virtual clock and in a page."""
    with tempfile.TemporaryDirectory() as folder:
        clock = a_clock(step=1)

        @asynccontextmanager
        async def open_store() -> AsyncGenerator[Store, None]:
            store = await open_file_store(
                Path(folder, "realm"),
                clock=clock,
                holder="the contract",
                lane=lambda _: InlineLane(),
                lock=None,
            )
            yield store
            await store.aclose()

        yield open_store


Place: TypeAlias = Callable[[], AbstractContextManager[OpenStore]]
HOMES: dict[str, Place] = {"memory": in_memory, "file": in_a_file}
every_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


def name_of(rule: Callable[..., object]) -> str:
    return rule.__name__


@every_home
@pytest.mark.parametrize("rule", RULES, ids=name_of)
async def test_the_store_keeps_the_rule(rule: StoreRule, home: Place) -> None:
    with home() as open_store:
        await rule(open_store)


def test_no_rule_is_lost() -> None:
    assert len(RULES) == 31


appends = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([0, 0, 0, 0, -1, 1]),
    st.lists(st.binary(max_size=3), max_size=3),
    st.lists(st.sampled_from("xyz"), max_size=2),
)
"""A stream, how far the writer's knowledge is off, bodies, and keys to claim."""


@every_home
@given(commits=st.lists(st.lists(appends, max_size=3), max_size=12))
async def test_any_sequence_of_commits_leaves_what_a_dictionary_of_lists_would_hold(
    commits: list[list[tuple[str, int, list[bytes], list[str]]]], home: Place
) -> None:
    model: dict[str, list[bytes]] = {}
    keys: dict[str, tuple[str, int]] = {}
    with home() as open_store:
        async with open_store() as store:
            for parts in commits:
                heads, claimed, legal = {s: len(model.get(s, ())) for s in "abc"}, dict(keys), True
                wanted: list[Append] = []
                for stream, ahead, bodies, claims in parts:
                    unique = tuple(claims) if bodies else ()
                    wanted.append(
                        Append(
                            stream=stream,
                            expected=heads[stream] + ahead,
                            records=tuple(NewRecord(kind="k", body=b) for b in bodies),
                            unique=unique,
                        )
                    )
                    legal = legal and ahead == 0
                    for key in unique:
                        legal = legal and key not in claimed
                        claimed[key] = (stream, heads[stream] + 1)
                    heads[stream] += len(bodies)
                if legal:
                    kept = await store.commit(wanted)
                    assert [r.body for r in kept] == [b for _, _, bs, _ in parts for b in bs]
                    keys = claimed
                    for stream, _, bodies, _ in parts:
                        model.setdefault(stream, []).extend(bodies)
                else:
                    with pytest.raises((StaleRevision, DuplicateKey)):
                        await store.commit(wanted)
                for stream in "abc":
                    found = await store.read(stream)
                    assert [r.body for r in found] == model.get(stream, [])
                    assert [r.seq for r in found] == list(range(1, len(found) + 1))
                    assert await store.revision(stream) == len(found)
