"""A room exports exactly what its ``__all__`` says; each error has a code of its own."""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from types import ModuleType

import meerkat_mob
from meerkat_mob import errors
from meerkat_mob.errors import MeerkatError


def packages() -> list[str]:
    below = pkgutil.walk_packages(meerkat_mob.__path__, "meerkat_mob.")
    return ["meerkat_mob", *sorted(found.name for found in below if found.ispkg)]


def public_names(module: ModuleType) -> set[str]:
    """What a user sees, sub-modules and the compiler's own switches aside."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


def listed(module: ModuleType) -> tuple[str, ...]:
    """What ``__all__`` says; empty without one."""
    return getattr(module, "__all__", ())


def test_all_lists_exactly_the_public_names() -> None:
    rooms = {name: importlib.import_module(name) for name in packages()}
    exported = {name: {n for n in listed(room) if n[0] != "_"} for name, room in rooms.items()}
    visible = {name: public_names(room) for name, room in rooms.items()}
    assert exported == visible


def test_all_lists_nothing_that_is_not_there() -> None:
    rooms = [importlib.import_module(name) for name in packages()]
    assert [(r.__name__, n) for r in rooms for n in listed(r) if not hasattr(r, n)] == []


def every_error() -> Iterator[type[MeerkatError]]:
    waiting = [MeerkatError]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.__subclasses__()


def test_each_error_has_a_code_of_its_own() -> None:
    own = [one.code for one in every_error() if "code" in vars(one)]
    assert {code: times for code, times in Counter(own).items() if times > 1} == {}
    assert [code for code in own if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", code)] == []


def test_the_tree_at_the_top_of_errors_shows_every_class() -> None:
    drawn = set(re.findall(r"^[ │├└─]*(\w+)", errors.__doc__ or "", flags=re.MULTILINE))
    missing = {
        one.__name__ for one in every_error() if one.__module__.startswith(errors.__name__)
    } - drawn
    assert missing == set()
