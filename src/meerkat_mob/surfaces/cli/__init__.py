"""The terminal: the command ``meerkat-mob``."""

from meerkat_mob.surfaces.cli.entry import main

__all__ = ("main",)
