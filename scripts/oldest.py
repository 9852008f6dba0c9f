"""Print the oldest version that ``pyproject.toml`` allows of each library that users install.

usage: python -m scripts.oldest        prints ``click==8.1 msgspec==0.20 …``, for pip
"""

import tomllib

import msgspec
from packaging.requirements import Requirement

from scripts.places import ROOT


class Project(msgspec.Struct, frozen=True):
    """What a package asks for."""

    dependencies: tuple[str, ...]
    extras: dict[str, tuple[str, ...]] = msgspec.field(name="optional-dependencies")


def main() -> None:
    """One line."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print(*sorted(oldest(msgspec.convert(table, Project))))


def oldest(project: Project) -> set[str]:
    """Every requirement with its lower bound made exact."""
    lines = [*project.dependencies, *(line for extra in project.extras.values() for line in extra)]
    return {
        f"{need.name}=={bound.version}"
        for need in map(Requirement, lines)
        for bound in need.specifier
        if bound.operator == ">="
    }


if __name__ == "__main__":
    main()
