"""What a person at a terminal sees: a pseudo-terminal runs the command, a small screen draws it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

from tests.surfaces.cli.kit import INCIDENT_ROOM, TASK

ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """Enough of a terminal for what the view writes: text, colours, cursor up, erase line."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.frames = 0
        self._at_start = False

    def feed(self, text: str) -> None:
        place = 0
        for found in ESCAPE.finditer(text):
            self._write(text[place : found.start()])
            self._obey(found[2], int(found[1]) if found[1].isdigit() else 1)
            place = found.end()
        self._write(text[place:])

    def _write(self, text: str) -> None:
        for char in text:
            if char == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif char != "\r":
                kept = "" if self._at_start else self.lines[self.row]
                self.lines[self.row] = kept + char
            self._at_start = char == "\r"

    def _obey(self, what: str, count: int) -> None:
        if what == "A":
            self.row = max(self.row - count, 0)
            self.frames += 1
        elif what == "K":
            self.lines[self.row] = ""


def seen(columns: int, rows: int, *more: str, **env: str) -> tuple[Screen, str, int]:
    """Runs the incident room in a terminal of that size: the screen, all that came, the code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    argv = [sys.executable, "-m", "meerkat_mob", "run", str(INCIDENT_ROOM), TASK]
    process = subprocess.Popen(
        [*argv, "--model", "scripted", *more],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **env},
    )
    os.close(theirs)
    raw = b""
    while True:
        select.select([ours], [], [], 60)
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed: all was read
            break
        if not piece:
            break
        raw += piece
    os.close(ours)
    text = raw.decode()
    screen = Screen()
    screen.feed(text)
    return screen, text, process.wait(timeout=60)


def test_the_last_screen_is_the_log_the_answer_once_and_the_sum() -> None:
    screen, _, code = seen(80, 24, "--pace", "2")
    told = "\n".join(screen.lines)
    assert code == 0
    assert told.count("Checkout works again. The cause was a release of our own.") == 1
    assert "commander answers" in told
    # In real time two messages may share a turn, so the number of turns is not the test's.
    assert re.search(r"5 members, \d+ turns, 38 tool calls, ", told)
    assert "─ team ─" not in told  # what was live is gone


def test_what_happens_now_is_drawn_again_and_again_below_the_log() -> None:
    screen, text, _ = seen(80, 24, "--pace", "5")
    assert screen.frames > 10
    assert "─ \x1b[0m\x1b[1mteam" in text
    assert "thinking" in text


def test_no_line_is_wider_than_the_terminal() -> None:
    for columns in (40, 80, 140):
        screen, text, _ = seen(columns, 24, "--pace", "1")
        drawn = [ESCAPE.sub("", line).rstrip("\r") for line in text.split("\n")]
        assert [line for line in drawn if len(line.rpartition("\r")[2]) > columns] == []
        assert screen.frames


def test_no_color_is_obeyed() -> None:
    _, text, _ = seen(80, 24, "--pace", "1", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*38;5;", text)


def test_a_dumb_terminal_gets_plain_lines() -> None:
    screen, text, code = seen(80, 24, "--pace", "1", TERM="dumb")
    assert code == 0
    assert screen.frames == 0
    assert "\x1b" not in text
