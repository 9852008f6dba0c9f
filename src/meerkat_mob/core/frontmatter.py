"""The head of a Markdown file: entries between two lines of ``---``, and the text below them.

What is read is a small part of YAML that means the same to every reader of it: ``key: value`` with
plain and quoted text on one line, text over several lines after ``>`` or ``|``, comments, and one
level of entries inside an entry. Every value is text: nothing is turned into a number or a date.
Everything else of YAML (lists, anchors, tags, braces) is a fault that says what to write instead,
never a guess. A whole YAML library would be a dependency in every browser tab, for six keys.

No text makes reading raise: what is wrong is told all at once, with line and column from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

_BLANKS: Final = " \t"
_ENTRY: Final = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_./-]*):(?:[ \t]+(.*))?$", re.DOTALL)
_BLOCK: Final = re.compile(r"([|>])[+-]?(?:[ \t]+#.*|[ \t]*)$")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SINGLE: Final = re.compile(r"'((?:[^']|'')*)'")
_NOTHING_MORE: Final = re.compile(r"(?:[ \t]+#.*|[ \t]*)$")
_COMMENT: Final = re.compile(r"(?:^|[ \t])#")
_COLON: Final = re.compile(r":(?=[ \t]|$)")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_ESCAPED: Final = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "r": "\r", " ": " "}
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_WANTED: Final = "expected 'key: value', with a blank after the colon"
_QUOTE: Final = "put the whole value in quotes"
_REFUSED: Final[Mapping[str, str]] = {
    "[": "lists are not read here: write the items in one line of text",
    "{": "braces are not read here: write an entry a line, indented below the key",
    "&": "anchors are not read here",
    "*": "references are not read here",
    "!": "tags are not read here",
    "|": "after '|' comes nothing but '+' or '-': the text begins on the next line",
    ">": "after '>' comes nothing but '+' or '-': the text begins on the next line",
} | dict.fromkeys("%@`],}", "a value cannot begin with this")


class TextFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that is wrong with a text, and where; lines and columns count from 1."""

    line: int
    column: int
    message: str

    @property
    def place(self) -> str:
        """Where, in words."""
        return f"line {self.line}, column {self.column}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at a key: text, entries, or None where a fault keeps it from being either.

    The place is that of the value.
    """

    line: int
    column: int
    value: str | Mapping[str, Entry] | None


class Frontmatter(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of the head, the text below, and every fault. With faults the rest is partial."""

    entries: Mapping[str, Entry]
    body: str
    faults: tuple[TextFault, ...] = ()


def read_frontmatter(text: str) -> Frontmatter:
    """Takes a text apart. Never raises.

    A byte order mark, and carriage returns at the ends of lines, are no part of the text.
    """
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    if lines[0].rstrip(_BLANKS) != "---":
        message = "the first line must be '---': name and description stand between two such lines"
        return Frontmatter(entries={}, body="", faults=(_fault(1, 1, message),))
    end = next((i for i, line in enumerate(lines) if i and line.rstrip(_BLANKS) == "---"), None)
    if end is None:
        message = "this '---' opens a head that is never closed: add a second '---' below it"
        return Frontmatter(entries={}, body="", faults=(_fault(1, 1, message),))
    reading = _Reading(lines[:end])
    entries = reading.entries(0)
    faults = [*reading.faults, *_unstorable(lines, end)]
    body = "\n".join(lines[end + 1 :]).strip("\n")
    in_order = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return Frontmatter(entries=entries, body=body, faults=in_order)


def _fault(line: int, column: int, message: str) -> TextFault:
    return TextFault(line=line, column=column, message=message)


def _unstorable(lines: Sequence[str], end: int) -> list[TextFault]:
    """Characters that no document may hold, and those that a head may not."""
    found: list[TextFault] = []
    for number, line in enumerate(lines, 1):
        if wrong := _SURROGATE.search(line):
            found.append(_fault(number, wrong.start() + 1, "half a character: save it as UTF-8"))
        elif number <= end and (wrong := _CONTROL.search(line)):
            found.append(_fault(number, wrong.start() + 1, "a control character: take it out"))
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _says_nothing(line: str) -> bool:
    return line.strip(_BLANKS)[:1] in {"", "#"}


class _Reading:
    """Goes down the lines of a head once; ``faults`` collects what is wrong."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._at = 1  # the line after the opening one; the last line read is number ``_at``
        self.faults: list[TextFault] = []

    def fault(self, column: int, message: str) -> None:
        """Notes a fault in the line that was read last."""
        self.faults.append(_fault(self._at, column, message))

    def _next(self) -> str | None:
        """The next line that says something, without taking it."""
        while self._at < len(self._lines) and _says_nothing(self._lines[self._at]):
            self._at += 1
        return self._lines[self._at] if self._at < len(self._lines) else None

    def entries(self, depth: int) -> dict[str, Entry]:
        """The entries that are indented by ``depth``, up to a line that is indented by less."""
        found: dict[str, Entry] = {}
        while (line := self._next()) is not None and _depth(line) >= depth:
            self._at += 1
            if line[_depth(line)] == "\t":
                self.fault(_depth(line) + 1, "a tab: indent with blanks")
            elif _depth(line) > depth:
                self._stray(depth)
            else:
                self._entry(line, depth, found)
        return found

    def _stray(self, depth: int) -> None:
        """Lines that are indented below nothing they could belong to: one fault for all of them."""
        self.fault(
            depth + 1,
            "this is indented and belongs to no key: begin a value of several lines with '>' or "
            "'|', and indent entries below a key without a value",
        )
        while (line := self._next()) is not None and _depth(line) > depth:
            self._at += 1

    def _entry(self, line: str, depth: int, found: dict[str, Entry]) -> None:
        match = _ENTRY.match(line, depth)
        if match is None:
            is_item = line.startswith("-", depth)
            self.fault(depth + 1, _REFUSED["["] if is_item else _WANTED)
            return
        key, number = match[1], self._at
        if key in found:
            self.fault(depth + 1, f"{key!r} is written twice: keep one")
        column = match.start(2) if match[2] else match.end(1) + 1
        value = self._value((match[2] or "").rstrip(_BLANKS), column + 1, depth)
        found.setdefault(key, Entry(line=number, column=column + 1, value=value))

    def _value(self, text: str, column: int, depth: int) -> str | Mapping[str, Entry] | None:
        """What stands after a colon, or below it; None when it is wrong."""
        if block := _BLOCK.match(text):
            lines = self._block(depth)
            return "\n".join(lines) if block[1] == "|" else _folded(lines)
        if text[:1] in {'"', "'"}:
            return self._quoted(text, column)
        comment = _COMMENT.search(text)
        text = text[: comment.start()].rstrip(_BLANKS) if comment else text
        if not text:
            below = self._next()
            if below is None or _depth(below) <= depth:
                return ""
            if depth:
                self._at += 1
                self._stray(depth)
                return None
            return self.entries(_depth(below)) or None
        return self._plain(text, column)

    def _plain(self, text: str, column: int) -> str | None:
        first = text[0]
        if first in _REFUSED or (first in "-?:" and text[1:2] in {"", *_BLANKS}):
            why = _REFUSED.get(first, f"a value cannot begin with {first!r} and a blank")
            self.fault(column, f"{why}; if it is text, {_QUOTE}")
            return None
        if colon := _COLON.search(text):
            self.fault(column + colon.start(), f"a colon and a blank inside a value: {_QUOTE}")
            return None
        return text

    def _quoted(self, text: str, column: int) -> str | None:
        match = (_DOUBLE if text[0] == '"' else _SINGLE).match(text)
        if match is None:
            self.fault(column, f"no closing {text[0]} in this line")
            return None
        if not _NOTHING_MORE.match(text, match.end()):
            self.fault(column + match.end(), "after the closing quote comes nothing but a comment")
            return None
        return match[1].replace("''", "'") if text[0] == "'" else self._unescaped(match[1], column)

    def _unescaped(self, text: str, column: int) -> str:
        def written(match: re.Match[str]) -> str:
            code = int(match[1] or match[2] or match[3] or "0", 16)
            known = match[4] in _ESCAPED if match[4] else code < 0x110000
            if not known or 0xD800 <= code < 0xE000:
                self.fault(column + 1 + match.start(), f"{match[0]} stands for no character")
                return "\ufffd"
            return _ESCAPED[match[4]] if match[4] else chr(code)

        return _ESCAPE.sub(written, text)

    def _block(self, depth: int) -> list[str]:
        """The lines of a text of several lines, without their indentation and outer blanks."""
        found: list[str] = []
        indent = 0
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip(_BLANKS):
                if _depth(line) <= depth:
                    break
                self._at += 1
                indent = indent or _depth(line)
                if _depth(line) < indent:
                    self.fault(1, "this is indented by less than the first line of its text")
                found.append(line[min(_depth(line), indent) :].rstrip(_BLANKS))
            else:
                self._at += 1
                found.append("")
        while found and not found[-1]:
            found.pop()
        return found[next((i for i, line in enumerate(found) if line), 0) :]


def _folded(lines: Sequence[str]) -> str:
    """Lines joined by blanks; an empty line is a break, and an indented one keeps its own."""
    text, before, empty = "", "", 0
    for line in lines:
        if not line:
            empty += 1
            continue
        keeps = line[0] in _BLANKS or before[:1] in {*_BLANKS}
        breaks = "\n" * (empty + keeps)
        text += (breaks or " ") + line if text else line
        before, empty = line, 0
    return text
