"""``python -m meerkat_mob`` is the command ``meerkat-mob``."""

from __future__ import annotations

import sys

from meerkat_mob.surfaces.cli import main

if __name__ == "__main__":
    sys.exit(main())
