from __future__ import annotations

import dataclasses
import fcntl
import io
import logging
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.publish import Event
from fer_edge.publish.terminal import TerminalSink, layout
from fer_edge.publish.tty import patient
from fer_edge.records import FrameResult
from results import face, result, results

EIGHTHS = "▁▂▃▄▅▆▇█"
UNSURE = (0.3, 0.1, 0.2, 0.0, 0.25, 0.1, 0.05)
Make = Callable[..., Event]


def text(seen: FrameResult, width: int = 79, rate: float | None = 29.84) -> str:
    return "".join(piece for piece, _ in layout(seen, rate=rate, width=width, ramp=EIGHTHS))


def columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
    return len(line) + wide - sum(unicodedata.combining(character) > 0 for character in line)


def screen(output: str, width: int) -> list[str]:
    """What a terminal of this width shows: carriage return, line feed, clear to end, colours, wrapping."""
    rows, row, column = [[" "] * width], 0, 0
    for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", output, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            rows.append([" "] * width)
        elif token == "\x1b[K":
            rows[row][column:] = [" "] * (width - column)
        elif token.startswith("\x1b"):
            assert token.endswith("m"), f"unexpected control sequence {token!r}"
        else:
            if column == width:
                row, column = row + 1, 0
                rows.append([" "] * width)
            rows[row][column] = token
            column += 1
    return ["".join(cells).rstrip() for cells in rows]


class Terminal(io.TextIOWrapper):
    """A terminal in memory, which counts what is written."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self.draws: list[str] = []

    def write(self, text: str) -> int:
        text.encode(self.encoding)  # strict, as a real stream
        self.draws.append(text)
        return len(text)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


# The line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (99, " 29.8 fps   #7 happy      88%  angry▁ disgust▁ fear▁ happy█ sad▁ surprise▁ neutral▁"),
        (79, " 29.8 fps   #7 happy      88%  ang▁ dis▁ fea▁ hap█ sad▁ sur▁ neu▁"),
        (40, " 29.8 fps   #7 happy      88%  ▁▁▁█▁▁▁"),
        (36, " 29.8 fps   #7 happy      88%"),
        (15, " 29.8 fps   #7 "),
        (4, " 29."),
    ],
)
def test_one_face_is_shown_as_richly_as_the_width_allows(width: int, line: str) -> None:
    assert text(result(face()), width) == line


def test_what_is_not_stable_has_a_question_mark_and_the_momentary_probability() -> None:
    assert "#7 angry?     30%  ang▃ dis▁ fea▂ hap▁ sad▃ sur▁ neu▁" in text(result(face(7, UNSURE, stable="uncertain")))


def test_a_stable_expression_keeps_its_place_while_another_one_flickers() -> None:
    flicker = face(7, (0.6, 0, 0, 0.4, 0, 0, 0), stable="happy")

    spans = layout(result(flicker), rate=30.0, width=79, ramp=EIGHTHS)

    assert "#7 happy      40%" in "".join(piece for piece, _ in spans)
    assert ("▅", "1;31") in spans  # the momentary one is emphasised


def test_several_faces_are_shortened_and_then_counted() -> None:
    both = text(result(face(7), face(8, UNSURE)))
    assert both == " 29.8 fps   #7 happy      88%  ▁▁▁█▁▁▁   #8 angry      30%  ▃▁▂▁▃▁▁"

    crowd = text(result(*(face(number) for number in range(1, 9))))
    assert crowd.startswith(" 29.8 fps   #1 happy      88%   #2 happy      88%   #3 ") and crowd.endswith("   +5")


def test_an_empty_frame_says_so_and_a_file_s_frame_its_name() -> None:
    assert text(result(), rate=None) == "      fps   no face"
    assert text(result(name="clip.mkv#120")) == " 29.8 fps   no face   clip.mkv#120"
    assert text(result(name="evil\x1b[2J\n\udcff.jpg")) == " 29.8 fps   no face   evil?[2J??.jpg"


@given(results(), st.integers(1, 200), st.none() | st.floats(0.01, 9999))
def test_the_line_never_leaves_its_width_nor_its_row(seen: FrameResult, width: int, rate: float | None) -> None:
    line = text(seen, width, rate)

    assert columns(line) <= width
    assert line.isprintable()


# Drawing ----------------------------------------------------------------------------------------


def test_it_redraws_at_most_ten_times_a_second_and_ends_with_the_last_frame(event: Make) -> None:
    terminal, clock = Terminal(), Clock()
    sink = TerminalSink(terminal, clock=clock)
    for frame in range(60):  # two seconds at 30 frames/s
        clock.now = 100 + frame / 30
        sink.publish(event(result(name=f"f{frame}.jpg")))
    assert 15 <= len(terminal.draws) <= 21
    assert "f59" not in terminal.draws[-1]

    sink.close()

    assert "f59.jpg" in terminal.draws[-2] and terminal.draws[-1] == "\n"
    drawn = len(terminal.draws)
    sink.close()
    assert len(terminal.draws) == drawn


@pytest.mark.parametrize("rate", [30.0, 7.5, 0.5])
def test_frames_per_second_are_those_of_the_last_second(rate: float, event: Make) -> None:
    terminal, clock = Terminal(), Clock()
    sink = TerminalSink(terminal, clock=clock)
    for _ in range(30):  # another speed before
        clock.now += 0.02
        sink.publish(event())
    for _ in range(int(2 * rate) + 2):
        clock.now += 1 / rate
        sink.publish(event())
    sink.close()

    assert f"{rate:5.1f}" in terminal.draws[-2]


def test_colour_is_used_unless_declined(event: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for name, value in (("NO_COLOR", ""), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
        terminal = Terminal()
        sink = TerminalSink(terminal)
        sink.publish(event())
        sink.close()
        shown[value] = "".join(terminal.draws)

    assert "\x1b[1;33mhappy" in shown[""] and shown[""].count("\x1b[0m") == len(
        re.findall(r"\x1b\[[1-9;]+m", shown[""])
    )
    assert not re.search(r"\x1b\[[0-9;]*m", shown["1"])
    assert screen(shown[""], 80) == screen(shown["1"], 80)  # NO_COLOR takes nothing but the colour


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines_once_a_second(
    term: str, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    terminal, clock = Terminal(), Clock()
    sink = TerminalSink(terminal, clock=clock)
    for frame in range(61):
        clock.now = 100 + frame / 30
        sink.publish(event())
    sink.close()

    output = "".join(terminal.draws)
    assert "\x1b" not in output and "\r" not in output
    assert len(output.splitlines()) == 3 and output.endswith("\n")


@pytest.mark.parametrize(("term", "encoding", "bar"), [("linux", "utf-8", "hap█"), ("xterm", "latin-1", "hap#")])
def test_bars_use_the_characters_that_the_terminal_has(
    term: str, encoding: str, bar: str, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal(encoding)
    sink = TerminalSink(terminal)
    sink.publish(event(result(face(), name="写真.jpg")))
    sink.close()

    output = "".join(terminal.draws)
    assert bar in output
    assert not set(output) & set("▁▂▃▄▅▆▇")


# A real terminal --------------------------------------------------------------------------------

PROGRAM = """
import logging, sys, time
from fer_edge.publish import SinkContext, open_sinks
from results import face, result
logging.basicConfig(format="%(levelname)s %(message)s")
context = SinkContext(device="d", run="r", every_frame=False, labels=result().labels)
with open_sinks(["-"], context) as sinks:
    for seq in range(40):
        sinks.publish(result(face(), face(8), seq=seq) if seq < 35 else result(seq=seq))
        if seq == 20:
            logging.warning("the camera is warm")
        if seq == 30:
            print("<native>", file=sys.stderr, flush=True)
        time.sleep(0.02)
"""


def test_on_a_real_terminal_one_line_is_rewritten_and_logs_stay_whole() -> None:
    width = 60
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR", "CI")
    } | {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    collected = b""
    while time.monotonic() < began + 60 and select.select([leader], [], [], 30)[0]:
        try:
            collected += os.read(leader, 65536)
        except OSError:  # EIO: the other side has closed
            break
    os.close(leader)
    assert process.wait(30) == 0
    output = collected.decode()

    rows = screen(output, width)
    rate = r"( *[\d.]+)? fps   "
    assert rows[0] == "WARNING the camera is warm"
    # What does not come through logging stays where it falls, but nothing is lost.
    assert re.fullmatch(rate + "#7 happy      88%   #8 happy      88%<native>", rows[1])
    assert re.fullmatch(rate + "no face", rows[2])  # nothing is left of the longer line
    assert rows[3:] == [""]  # the shell's prompt finds an empty line
    assert 3 <= output.count("fps") <= 10 * (time.monotonic() - began) + 4


def arrived(leader: int, *, quiet_s: float, end: bytes | None = None) -> bytes:
    """What a terminal got, until nothing comes for `quiet_s` or `end` does.

    The kernel hands over what was written in the background and in pieces, so one read may find a part of it.
    """
    taken = b""
    while (end is None or not taken.endswith(end)) and select.select([leader], [], [], quiet_s)[0]:
        taken += os.read(leader, 65536)
    return taken


def test_a_stopped_terminal_stops_nothing_and_shows_the_newest_line_when_it_goes_on(event: Make) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        clock = Clock()
        sink = TerminalSink(patient(stream), clock=clock)
        for frame in range(2000):  # nobody reads: far more than a terminal's buffer holds
            clock.now += 1
            sink.publish(event(result(face(), name=f"f{frame}.jpg")))
        taken = arrived(leader, quiet_s=0.5)
        assert b"f0.jpg" in taken and b"f1999.jpg" not in taken
        clock.now += 1
        sink.publish(event(result(face(), name="awake.jpg")))
        sink.close()
        taken += arrived(leader, quiet_s=30, end=b"\n")
        os.fstat(stream.fileno())  # the shell's own is left open
        assert os.get_blocking(stream.fileno())
    os.close(leader)

    lines = screen(taken.decode(), 80)
    assert "awake.jpg" in lines[-2] and lines[-1] == ""
    assert all(line.count("fps") <= 1 for line in lines)  # none is torn


def test_another_user_s_terminal_is_written_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        monkeypatch.setattr(os, "open", Mock(side_effect=PermissionError))
        assert patient(stream) is stream
    os.close(leader)


def test_log_handlers_are_left_as_they_were(event: Make) -> None:
    class Stderr(io.StringIO):
        def isatty(self) -> bool:
            return True

    handler = logging.StreamHandler(Stderr())
    logging.getLogger().addHandler(handler)
    try:
        sink = TerminalSink(Terminal())
        sink.publish(event())
        assert handler.filters
        sink.close()
        assert not handler.filters
    finally:
        logging.getLogger().removeHandler(handler)


def test_dropped_frames_are_shown_where_there_is_room() -> None:
    shown = dataclasses.replace(result(face()), dropped=12)
    wide = "".join(text for text, _ in layout(shown, rate=30.0, width=120, ramp=".:-=+*#"))
    assert wide.endswith("12 dropped")
    narrow = "".join(text for text, _ in layout(shown, rate=30.0, width=30, ramp=".:-=+*#"))
    assert "dropped" not in narrow
    none = "".join(text for text, _ in layout(result(face()), rate=30.0, width=120, ramp=".:-=+*#"))
    assert "dropped" not in none
