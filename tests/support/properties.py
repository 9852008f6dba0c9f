"""How many examples a property gets: 100 on CPython, 25 in Pyodide.

No property has a deadline: how long an example takes is the machine's business, not the test's.
In CI the examples are the same in every run, so a red run can be repeated.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis.database import InMemoryExampleDatabase

from meerkat_mob._target import IN_BROWSER

IN_CI = bool(os.environ.get("CI"))

settings.register_profile(
    "meerkat",
    max_examples=25 if IN_BROWSER else 100,
    deadline=None,
    derandomize=IN_CI,
    database=None if IN_CI else InMemoryExampleDatabase(),  # one excludes the other
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("meerkat")
