"""The mobs of a realm, looked at by somebody who does not hold it.

The rule: it only reads, and damage of one mob hides no other. Which members have a run now is
known to the holder alone, so nothing here says it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from meerkat_mob.errors import MobNotFound, StoreCorrupt
from meerkat_mob.mob.events import MobEvent
from meerkat_mob.mob.facts import decode_fact
from meerkat_mob.mob.fold import MobFold
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.state import MobState
from meerkat_mob.mob.tasks import MobTask
from meerkat_mob.store.protocol import StoreReader

PAGE = 1000
_PREFIX = "mob:"


class KeptMob(msgspec.Struct, frozen=True, kw_only=True):
    """A mob as its facts tell it; times in ms UTC. ``facts`` is how many there are.

    ``damage`` says what was found in them, or is empty: the rest is as of the fact before it.
    """

    mob_id: str
    state: MobState
    members: tuple[RosterEntry, ...]
    tasks: tuple[MobTask, ...]
    facts: int
    updated_at: int
    damage: str = ""

    @property
    def open_tasks(self) -> int:
        """Tasks that are still to be done."""
        return sum(task.status in {"open", "in_progress"} for task in self.tasks)


async def kept_mobs(reader: StoreReader) -> list[str]:
    """The ids of the mobs whose facts are kept, in order."""
    names: list[str] = []
    after: str | None = None
    while heads := await reader.heads(_PREFIX, after=after):
        after = heads[-1].stream
        names += [head.stream.removeprefix(_PREFIX) for head in heads]
    return names


async def kept_events(
    reader: StoreReader, mob_id: str, *, after: int = 0
) -> AsyncGenerator[MobEvent, None]:
    """The facts of a mob with a higher cursor, in order. Raises ``StoreCorrupt`` where one is."""
    while records := await reader.read(_PREFIX + mob_id, after=after, limit=PAGE):
        after = records[-1].seq
        for record in records:
            fact = decode_fact(record.body)
            yield MobEvent(cursor=record.seq, timestamp=record.at, mob_id=mob_id, kind=fact)


async def read_mob(reader: StoreReader, mob_id: str) -> KeptMob:
    """How a mob stands by its facts. Raises ``MobNotFound``, naming those that are kept."""
    fold, damage = MobFold(), ""
    try:
        async for event in kept_events(reader, mob_id):
            fold.take(event.kind, seq=event.cursor, at=event.timestamp)
    except StoreCorrupt as fault:
        damage = str(fault)
    if not fold.revision and not damage:
        raise MobNotFound(mob_id=mob_id, known=await kept_mobs(reader))
    return KeptMob(
        mob_id=mob_id,
        state=fold.state,
        members=fold.roster.list(),
        tasks=fold.board.list(),
        facts=fold.revision,
        updated_at=fold.at,
        damage=damage,
    )
