"""A SKILL.md is read whole or refused with the places of all that is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.skills import Skill, parse_skill

HEAD = "name: tides\ndescription: When to sail\n"


def a_file(head: str = HEAD, body: str = "Wait.") -> str:
    return f"---\n{head}---\n{body}"


def faults(text: str, folder: str = "tides") -> list[tuple[int, int]]:
    skill, found = parse_skill(text, folder=folder)
    assert skill is None
    return [(fault.line, fault.column) for fault in found]


def told(head: str) -> str:
    _, found = parse_skill(a_file(head), folder="tides")
    return "; ".join(fault.message for fault in found)


def described(value: str) -> str:
    """The description that this YAML gives."""
    skill, found = parse_skill(a_file(f"name: tides\ndescription: {value}\n"), folder="tides")
    assert found == ()
    assert skill is not None
    return skill.description


def test_a_skill_has_what_its_file_says() -> None:
    head = (
        "# of the harbour\nname: tides  # the folder's\n\ndescription: 'When to sail'\n"
        'license: "MIT"\ncompatibility: any\nallowed-tools: Read Bash(git:*)\n'
        "metadata:\n  author: the harbour\n  # its version\n  version: 1.0\n"
    )
    body = "\n# Tides\n\nWait.\n---\nMore.\n"
    found = parse_skill(a_file(head, body), folder="tides", files={"table.md": "high, low"})
    assert found == (
        Skill(
            name="tides",
            description="When to sail",
            body="# Tides\n\nWait.\n---\nMore.",
            license="MIT",
            compatibility="any",
            metadata={"author": "the harbour", "version": "1.0"},
            allowed_tools="Read Bash(git:*)",
            files={"table.md": "high, low"},
        ),
        (),
    )


def test_name_and_description_are_enough() -> None:
    skill = Skill(name="tides", description="When to sail", body="")
    assert parse_skill(f"---\n{HEAD}---", folder="tides") == (skill, ())


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing() -> None:
    text = a_file(body="Wait.\nThen sail.")
    windows = "\ufeff" + text.replace("\n", "\r\n")
    assert parse_skill(windows, folder="tides") == parse_skill(text, folder="tides")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("https://tide.example/a#b", "https://tide.example/a#b"),
        ("C# and -x, 100%", "C# and -x, 100%"),
        ("true", "true"),
        ("a # b", "a"),
        ('"a # b: \\"c\\" \\\\ \\u00e9\\t\\x41\\U0001F30A" # d', 'a # b: "c" \\ é\tA🌊'),
        ("'it''s: # so'", "it's: # so"),
        (">\n  one\n  two\n\n  three\n    four\n  five", "one two\nthree\n  four\nfive"),
        (">-\n    one # two\n    three: four", "one # two three: four"),
        ("| # as it is\n  one\n\n    two\n  three\n\n\n", "one\n\n  two\nthree"),
        ("|+\n\n  one", "one"),
    ],
)
def test_values_mean_what_they_mean_in_yaml(value: str, text: str) -> None:
    assert described(value) == text


@pytest.mark.parametrize(
    ("head", "places", "words"),
    [
        ("name: tides\n", [(1, 1)], "'description' is missing"),
        ("name: tides\ndescription:\n", [(3, 13)], "is empty"),
        (HEAD + "name: tides\n", [(4, 1)], "written twice"),
        (HEAD + "licence: MIT\n", [(4, 10)], "did you mean 'license'?"),
        (HEAD + "version: 1\n", [(4, 10)], "put what is your own in 'metadata'"),
        (HEAD + "license:MIT\n", [(4, 1)], "a blank after the colon"),
        (HEAD + "license\n", [(4, 1)], "expected 'key: value'"),
        (HEAD + "license: a: b\n", [(4, 11)], "in quotes"),
        (HEAD + "license: a:\n", [(4, 11)], "in quotes"),
        (HEAD + "license: [MIT]\n", [(4, 10)], "lists are not read"),
        (HEAD + "license: {a: b}\n", [(4, 10)], "braces are not read"),
        (HEAD + "license: &a b\n", [(4, 10)], "anchors are not read"),
        (HEAD + "license: *a\n", [(4, 10)], "references are not read"),
        (HEAD + "license: !a b\n", [(4, 10)], "tags are not read"),
        (HEAD + "license: >2\n  a\n", [(4, 10), (5, 1)], "after '>' comes nothing"),
        (HEAD + "license: - a\n", [(4, 10)], "cannot begin with '-'"),
        (HEAD + "license: @a\n", [(4, 10)], "cannot begin with this"),
        (HEAD + 'license: "a\n', [(4, 10)], 'no closing "'),
        (HEAD + "license: 'a\n", [(4, 10)], "no closing '"),
        (HEAD + 'license: "a" b\n', [(4, 13)], "nothing but a comment"),
        (HEAD + 'license: "a\\q"\n', [(4, 12)], "stands for no character"),
        (HEAD + 'license: "\\ud83c"\n', [(4, 11)], "stands for no character"),
        (HEAD + 'license: "\\Uffffffff"\n', [(4, 11)], "stands for no character"),
        (HEAD + "license: a\x01b\n", [(4, 11)], "a control character"),
        (HEAD + "license: a\n  b\n  c\n", [(5, 1)], "begin a value of several lines with '>'"),
        (HEAD + "license:\n  a: b\n", [(4, 9)], "is one text"),
        (HEAD + "license: >\n    a\n  b\n", [(6, 1)], "less than the first line"),
        (HEAD + "metadata: mine\n", [(4, 11)], "entries of its own"),
        (HEAD + "metadata:\n\ta: b\n", [(5, 1)], "a tab"),
        (HEAD + "metadata:\n  a:\n    b: c\n", [(6, 3)], "belongs to no key"),
        (HEAD + "metadata:\n  a: b\n    c: d\n", [(6, 3)], "belongs to no key"),
        (HEAD + "allowed-tools:\n  - Read\n", [(5, 3)], "lists are not read"),
        (HEAD + f"compatibility: {'x' * 501}\n", [(4, 16)], "500 are allowed"),
        (f"name: tides\ndescription: {'x' * 1025}\n", [(3, 14)], "1024 are allowed"),
    ],
)
def test_a_fault_has_its_place_and_says_what_to_do(
    head: str, places: list[tuple[int, int]], words: str
) -> None:
    assert faults(a_file(head)) == places
    assert words in told(head)


@pytest.mark.parametrize("text", ["", "name: tides", " ---\n---", "---", "---\nname: tides\n"])
def test_a_head_stands_between_two_lines(text: str) -> None:
    assert faults(text) == [(1, 1)]


@pytest.mark.parametrize(
    "name", ["Tides", "-tides", "tides-", "the--tides", "the tides", "tïdes", "tide_s", "x" * 65]
)
def test_a_name_is_lowercase_letters_digits_and_single_hyphens(name: str) -> None:
    assert faults(a_file(f"name: {name}\ndescription: d\n"), folder=name) == [(2, 7)]


@pytest.mark.parametrize("name", ["x", "x" * 64, "3-tides-2"])
def test_such_a_name_is_taken(name: str) -> None:
    skill, _ = parse_skill(a_file(f"name: {name}\ndescription: d\n"), folder=name)
    assert skill is not None
    assert skill.name == name


def test_a_name_is_that_of_its_folder() -> None:
    assert faults(a_file(), folder="winds") == [(2, 7)]


def test_half_a_character_in_the_body_has_a_place_too() -> None:
    assert faults(a_file(body="one\ntwo \ud83c")) == [(6, 5)]


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    head = "name: Tides\ndescription: a: b\ncolour: blue\nlicense: [a]\n"
    assert faults(a_file(head)) == [(2, 7), (3, 15), (4, 9), (5, 10)]


pieces = st.sampled_from(
    [*"-:>|#'\"[\\ \t\n\r", "---\n", "name: tides\n", "description: ", "metadata:\n", "  a: b\n"]
)
texts = st.text(st.characters()) | st.lists(
    pieces | st.text(st.characters(), max_size=3), max_size=25
).map("".join)


@given(texts | texts.map(a_file) | texts.map(lambda text: a_file(HEAD + text)))
def test_any_text_is_a_skill_or_has_faults_at_places_it_has(text: str) -> None:
    skill, found = parse_skill(text, folder="tides")
    assert (skill is None) == (found != ())
    lines = text.removeprefix("\ufeff").split("\n")
    for fault in found:
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=200))
def test_any_text_can_be_said_in_quotes(text: str) -> None:
    if text.strip():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        doubled = text.replace("'", "''")
        assert described(f'"{escaped}"') == described(f"'{doubled}'") == text.strip()
