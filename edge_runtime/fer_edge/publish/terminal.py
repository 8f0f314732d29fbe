"""What a person at a terminal sees instead of JSON: one line, rewritten in place."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from fer_edge.contract.errors import PublishError
from fer_edge.publish.event import Event
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.tty import PatientTerminal
from fer_edge.records import Face, FrameResult

REDRAW_S = 0.1
"""Least time between two redraws, seconds; a person reads no faster."""

PLAIN_REDRAW_S = 1.0
"""The same where a line cannot be rewritten and each redraw is a new one, seconds."""

RATE_WINDOW_S = 1.0
"""Time over which frames per second are measured, seconds."""

_EIGHTHS = "▁▂▃▄▅▆▇█"
_SHADES = "·░▒▓█"  # the Linux console's font has these and no eighths
_ASCII = ".:-=+*#"

# Letters of each label beside its bar, from the widest layout to the narrowest; None: no bars at all.
_LAYOUTS = (64, 3, 0, None)
_GAP = "   "

_DIM, _BOLD = "2", "1"
_COLOURS = ("31", "32", "35", "33", "34", "36", "37")

_Span = tuple[str, str]
"""Text and the attributes (SGR, ECMA-48) it is shown in."""


class TerminalSink:
    """Faces, their expressions as bars, and frames per second, in one line that never wraps.

    The cursor stays visible: whatever ends the process, the terminal is left as it was. Log records that
    go to a terminal are shown above the line. `NO_COLOR` and `TERM=dumb` are honoured.

    Args:
        stream: the terminal; one of our own is closed at the end, any other left open.
        clock: seconds, monotonic.
    """

    name = "terminal"
    every_frame = True

    def __init__(self, stream: TextIO | PatientTerminal, *, clock: Callable[[], float] = time.monotonic) -> None:
        terminal = os.environ.get("TERM", "")
        self._stream = stream
        self._clock = clock
        self._in_place = terminal not in ("", "dumb")
        self._colour = self._in_place and not os.environ.get("NO_COLOR")
        self._ramp = _ramp(terminal, stream.encoding)
        self._arrivals: deque[float] = deque()
        self._drawn_at = float("-inf")
        self._on_screen = False
        self._latest: FrameResult | None = None
        self._waiting = False
        self._taken = 0
        self._closed = False
        self._handlers = [handler for handler in logging.getLogger().handlers if _shows(handler)]
        for handler in self._handlers:
            handler.addFilter(self._make_way)

    def publish(self, event: Event) -> None:
        """Take one result; draws at most ten times a second.

        Raises:
            PublishError: the terminal has gone.
        """
        now = self._clock()
        self._arrivals.append(now)
        # A slow source still needs two arrivals to have a rate.
        while len(self._arrivals) > 2 and self._arrivals[0] < now - RATE_WINDOW_S:
            self._arrivals.popleft()
        self._latest, self._waiting = event.result, True
        self._taken += 1
        if now - self._drawn_at >= (REDRAW_S if self._in_place else PLAIN_REDRAW_S):
            self._draw(now)

    def health(self) -> SinkHealth:
        """How many results were shown; drawing happens at once, so nothing ever waits."""
        return SinkHealth(name=self.name, delivered=self._taken, last_progress=time.monotonic())

    def close(self) -> None:
        """Draw the last frame and end the line."""
        for handler in self._handlers:
            handler.removeFilter(self._make_way)
        self._handlers.clear()
        # A terminal that has gone needs no last line.
        with contextlib.suppress(PublishError):
            if self._waiting or (self._in_place and self._latest is not None):
                self._draw(self._clock())
            if self._on_screen:
                self._write("\n")
        if isinstance(self._stream, PatientTerminal) and not self._closed:
            self._stream.close()
        self._closed = True
        self._latest, self._waiting, self._on_screen = None, False, False

    def _draw(self, now: float) -> None:
        if self._latest is None:
            return
        # The last column stays free: some terminals wrap as soon as it is filled.
        width = shutil.get_terminal_size().columns - 1
        spans = layout(self._latest, rate=self._rate(), width=width, ramp=self._ramp)
        self._waiting = False
        self._drawn_at = now
        if self._in_place:
            self._write("\r" + _painted(spans, self._colour) + "\x1b[K")
            self._on_screen = True
        else:
            self._write(_painted(spans, False) + "\n")

    def _rate(self) -> float | None:
        if len(self._arrivals) < 2 or self._arrivals[-1] <= self._arrivals[0]:
            return None
        return (len(self._arrivals) - 1) / (self._arrivals[-1] - self._arrivals[0])

    def _make_way(self, record: logging.LogRecord) -> bool:
        if self._on_screen:
            self._on_screen = False
            self._drawn_at = float("-inf")
            with contextlib.suppress(PublishError):
                self._write("\r\x1b[K")
        return True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text.encode(self._stream.encoding, "replace").decode(self._stream.encoding))
            self._stream.flush()
        except OSError as error:
            raise PublishError(f"the terminal cannot be written ({error.strerror})") from error


def layout(result: FrameResult, *, rate: float | None, width: int, ramp: str) -> list[_Span]:
    """The line of one frame: frames per second, then each face in the richest form in which all fit.

    A face shows the expression that is stable and its probability in this frame; while none is stable,
    the momentary one with a question mark. The bars show all probabilities in label order, the momentary
    expression emphasised.

    Args:
        result: the frame.
        rate: frames per second, None where not yet known.
        width: columns to stay within.
        ramp: characters for probabilities from 0 to 1.
    """
    spans: list[_Span] = [(" " * 5 if rate is None else f"{rate:5.1f}", ""), (" fps", _DIM), (_GAP, "")]
    room = width - _columns(spans)
    if result.faces:
        spans += _fitting(result.faces, result.labels, room, ramp)
    else:
        spans.append(("no face", _DIM))
    dropped = [(_GAP, ""), (f"{result.dropped} dropped", _DIM)]
    if result.dropped and _columns(spans) + _columns(dropped) <= width:
        spans += dropped
    name = [(_GAP, ""), (_printable(result.name or ""), _DIM)]
    if result.name is not None and _columns(spans) + _columns(name) <= width:
        spans += name
    return _cut(spans, width)


def _fitting(faces: Sequence[Face], labels: Sequence[str], room: int, ramp: str) -> list[_Span]:
    for letters in _LAYOUTS:
        shown = [_face(face, labels, letters, ramp) for face in faces]
        joined = _joined(shown)
        if _columns(joined) <= room:
            return joined
    for count in range(len(shown) - 1, 0, -1):
        joined = _joined([*shown[:count], [(f"+{len(shown) - count}", _DIM)]])
        if _columns(joined) <= room:
            return joined
    return _joined(shown)


def _face(face: Face, labels: Sequence[str], letters: int | None, ramp: str) -> list[_Span]:
    stable = face.stable in labels
    label = face.stable if stable else face.expression
    text = label if stable else f"{label}?"
    index = labels.index(label)
    field = max(map(_width, labels)) + 1
    spans = [
        (f"#{face.id} ", _DIM),
        (text + " " * (field - _width(text)), f"{_BOLD};{_colour(index)}" if stable else _DIM),
        (f"{100 * float(face.probabilities[index]):4.0f}%", "" if stable else _DIM),
    ]
    if letters is None:
        return spans
    spans.append(("  ", ""))
    for number, (name, probability) in enumerate(zip(labels, face.probabilities, strict=True)):
        momentary = name == face.expression
        bar = ramp[max(0, min(int(float(probability) * len(ramp)), len(ramp) - 1))]
        if letters:
            gap = " " if number else ""
            spans.append((gap + name[:letters], "" if momentary else _DIM))
        spans.append((bar, f"{_BOLD};{_colour(number)}" if momentary else _colour(number)))
    return spans


def _joined(parts: Sequence[list[_Span]]) -> list[_Span]:
    return [span for number, part in enumerate(parts) for span in ([(_GAP, "")] if number else []) + part]


def _cut(spans: Sequence[_Span], width: int) -> list[_Span]:
    kept: list[_Span] = []
    for text, attributes in spans:
        fitting = ""
        for character in text:
            width -= _width(character)
            if width < 0:
                break
            fitting += character
        kept.append((fitting, attributes))
        if width < 0:
            break
    return kept


def _painted(spans: Sequence[_Span], colour: bool) -> str:
    return "".join(
        f"\x1b[{attributes}m{text}\x1b[0m" if colour and attributes and text else text for text, attributes in spans
    )


def _columns(spans: Sequence[_Span]) -> int:
    return sum(_width(text) for text, _ in spans)


def _width(text: str) -> int:
    # Labels and file names may be Chinese, Japanese or Korean: two columns a character (UAX #11).
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _printable(text: str) -> str:
    # A file's name may hold a newline or an escape sequence.
    return "".join(character if character.isprintable() else "?" for character in text)


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _ramp(terminal: str, encoding: str) -> str:
    ramp = _SHADES if terminal == "linux" else _EIGHTHS
    try:
        ramp.encode(encoding)
    except UnicodeEncodeError:
        return _ASCII
    return ramp


def _shows(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and bool(getattr(handler.stream, "isatty", bool)())
