"""What the room says is public, it has, sorted and once."""

from __future__ import annotations

from meerkat_mob import core


def test_the_public_names_are_sorted_and_there() -> None:
    classes = [name for name in core.__all__ if name[0].isupper()]
    functions = [name for name in core.__all__ if not name[0].isupper()]
    assert list(core.__all__) == sorted(classes) + sorted(functions)
    assert len(set(core.__all__)) == len(core.__all__)
    assert all(hasattr(core, name) for name in core.__all__)
