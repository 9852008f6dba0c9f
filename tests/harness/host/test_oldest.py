"""The oldest libraries are those of the lower bounds, those of the extras too."""

from scripts.oldest import Project, oldest


def test_every_lower_bound_becomes_an_exact_version() -> None:
    project = Project(("one>=1.2",), {"more": ("two>=3,<4", "one[extra]"), "all": ("ours[more]",)})
    assert oldest(project) == {"one==1.2", "two==3"}
