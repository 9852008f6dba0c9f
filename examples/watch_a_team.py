"""Watching a team: one stream tells what is kept (members, wiring, tasks) and what members do.

It plays the incident room beside this file, offline, and prints who writes to whom and how the
tasks move.

    python examples/watch_a_team.py
"""

import asyncio
from pathlib import Path

import msgspec

from meerkat_mob import (
    Lagged,
    MemberEvent,
    Mob,
    MobEvent,
    addressee,
    default_members,
    load_pack,
    open_realm,
    spawn_team,
)
from meerkat_mob.core.events import ToolCallRequested
from meerkat_mob.llm import PerformanceLlm, parse_performance
from meerkat_mob.mob.facts import TaskCreated, TaskUpdated

PACK = load_pack(Path(__file__).parent / "incident-room")


async def watch(mob: Mob) -> None:
    """Prints until the mob ends. The loop never polls: it sleeps until something happens."""
    subjects: dict[str, str] = {}
    async for event in mob.events():
        match event:
            case MobEvent(kind=TaskCreated(task_id=task_id, subject=subject)):
                subjects[task_id] = subject
                print(f"board: new: {subject}")
            case MobEvent(kind=TaskUpdated(task_id=task_id, status=status)):
                print(f"board: {status}: {subjects[task_id]}")
            case MemberEvent(member=member) if isinstance(
                call := event.envelope.payload, ToolCallRequested
            ):
                if call.name == "send_message":
                    args = msgspec.json.decode(call.args, type=dict[str, str])
                    print(f"{member} -> {args['to']}: {args['body'][:60]}")
            case Lagged(skipped=skipped):
                print(f"too slow: {skipped} events of members were not seen")
            case _:
                pass


async def main() -> None:
    """Gives the team its task and watches it until the whole team is idle."""
    performance = parse_performance(PACK.performance or "")
    async with open_realm(llm=PerformanceLlm(performance)) as realm:
        mob = await realm.create_mob(PACK.definition)
        watching = asyncio.create_task(watch(mob))
        await spawn_team(mob)
        lead = mob.member(addressee(mob.definition, default_members(mob.definition)))
        answer = await lead.ask("Checkout fails for one customer in five since 09:40.")
        await mob.destroy()  # the stream ends here, and so does whoever reads it
        await watching
        print(f"\n{lead.id} answers:\n{answer}")


if __name__ == "__main__":
    asyncio.run(main())
