"""The smallest team: described as text, asked once, on the host and in a browser alike.

The model `scripted` needs no key and no network. Put a model's name in its place, and its
provider's key (or OPENAI_BASE_URL for a server of your own) into the environment.

    python examples/hello_team.py
"""

import asyncio

from meerkat_mob import open_realm, parse_definition, spawn_team

TEAM = parse_definition("""
[mob]
id = "kitchen"
orchestrator = "cook"

[profiles.cook]
model = "scripted"
peer_description = "Decides what is on the menu"
tools = { comms = true }

[profiles.gardener]
model = "scripted"
peer_description = "Knows what is ripe"
tools = { comms = true }

[wiring]
auto_wire_orchestrator = true
""")


async def main() -> None:
    """Asks the cook, who asks the gardener."""
    async with open_realm() as realm:
        mob = await realm.create_mob(TEAM)
        cook, gardener = await spawn_team(mob)
        print(f"{cook.id} and {gardener.id} are in the {mob.id}")
        print(await cook.ask("What do we cook tonight?"))


if __name__ == "__main__":
    asyncio.run(main())
