"""The kit that ships for tests of teams: a virtual clock, and what else stands in for the world.

Import its parts from their modules. Shipped code never imports this package.
"""

__all__: tuple[str, ...] = ()
