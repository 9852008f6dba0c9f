"""The pictures of the life cycles are those of the tables."""

from scripts.diagrams import PAGE, page


def test_the_pictures_are_drawn_from_the_tables_as_they_are() -> None:
    """When this fails: ``python -m scripts.diagrams``."""
    assert PAGE.read_text(encoding="utf-8") == page()
