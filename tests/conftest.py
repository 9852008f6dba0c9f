"""The suite's own harness. Each plug-in's docstring states its rule; none of them is optional."""

pytest_plugins = (
    "tests.support.loops",
    "tests.support.network",
    "tests.support.properties",
    "tests.support.targets",
)
