"""Events that were written to a file, seen again: on the live page, at a terminal, with their film or without."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.frames.video_file import VideoFile
from fer_edge.publish import Event, SinkContext, open_sink
from fer_edge.recording.matroska import recorded_at
from fer_edge.records import CLOCK_JUMP_S, Face, Frame, FrameResult
from fer_edge.service.config import Settings
from fer_edge.service.watching import open_preview

_log = logging.getLogger(__name__)

MAX_PAUSE_S = 1.5
"""Longer pauses between events are cut to this, seconds; after two the page says that nothing comes."""

SAME_FRAME_S = 0.0015
"""Events and films count milliseconds: an event this close to a film's frame is about it, seconds."""

_FILM = re.compile(rb"\x1aE\xdf\xa3|....ftyp|RIFF|GIF8", re.DOTALL)
"""How Matroska, MP4, AVI and GIF begin."""


def replay(path: Path, *, video: Path | None, settings: Settings, speed: float = 1.0, opens_page: bool = False) -> int:
    """Show what a file of events says, at the pace at which it happened.

    Args:
        path: JSON lines, as `--publish file:PATH` writes them; of several runs, too.
        video: the film they are about, or None: a recording of the same run (`--record`), or the clip that
            was its source.
        settings: `preview` and what begins with it.
        speed: how many times faster.
        opens_page: open the page in a browser where there is a desktop.

    Returns:
        0, also where Ctrl-C ended it.

    Raises:
        DataError: the file cannot be read or holds something else, or the film is another one.
        SourceError: the film cannot be decoded.
        FerError: page or terminal cannot be opened, or failed.
    """
    events = read_events(path)
    beginning: list[Event] = []
    for early in events:
        beginning.append(early)
        if early.result.faces:  # only those name the labels
            break
    if not beginning:
        raise DataError(f"{path} holds no event; record some with fer-edge run --publish file:{path.name}")
    first, labels = beginning[0], beginning[-1].result.labels
    events = itertools.chain(beginning, events)
    context = SinkContext(device=first.device, run=first.run, every_frame=True, labels=labels)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        terminal = open_sink("-", context)
        stack.callback(terminal.close)
        page = None
        if settings.preview:
            if video is None and settings.preview_picture != "off":
                settings = dataclasses.replace(settings, preview_picture="boxes")  # there is no picture to wait for
            status = {**_STATUS, "detector": f"replay of {path.name}"}
            page = open_preview(settings, context, facts={"replay": path.name}, status=lambda: status, opens=opens_page)
            stack.callback(page.close)
        shown = _alone(events, MAX_PAUSE_S * min(speed, 1.0)) if video is None else _with_film(events, path, video)
        began = time.monotonic()
        for at, frame, event, result in shown:
            threading.Event().wait(max(0.0, began + at / speed - time.monotonic()))
            if event is not None:
                terminal.publish(event)
            if page is not None:
                page.show(frame, result)
    return 0


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file, in order; a last line that a power cut tore is left out.

    Raises:
        DataError: the file cannot be read, or a line is no event.
    """
    try:
        with path.open("rb") as file:
            if _FILM.match(file.read(16)):
                raise DataError(f"{path} is a film; give its events file, and the film with --video")
            file.seek(0)
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    _log.warning("%s ends within a line, which is left out", path)
                    return
                try:
                    yield from_event(json.loads(line, parse_constant=_not_finite))
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                    reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else _reason(error)
                    raise DataError(f"{path}, line {number} is no event of fer-edge ({reason}); remove it") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a file of events") from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON: {error.msg}, column {error.colno}"
    return str(error)


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def from_event(data: dict[str, Any]) -> Event:
    """The event and its result from their JSON values: what `publish.event.to_event` made, but for rounding.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: it is no event.
    """
    if data["v"] != 1:
        raise ValueError(f"version {data['v']!r}")
    frame = data["frame"]
    # An event without faces does not name the labels.
    labels = tuple(data["faces"][0]["probabilities"]) if data["faces"] else FER2013_LABELS
    result = FrameResult(
        seq=int(data["seq"]),
        time=_seconds(data["time"]),
        age_ms=float(data["age_ms"]),
        width=int(frame["width"]),
        height=int(frame["height"]),
        source=str(frame["source"]),
        name=frame.get("name"),
        labels=labels,
        faces=tuple(_face(face, labels) for face in data["faces"]),
        stages_ms={str(stage): float(took) for stage, took in data["stages_ms"].items()},
    )
    return Event(result=result, device=str(data["device"]), run=str(data["run"]))


def _face(face: dict[str, Any], labels: tuple[str, ...]) -> Face:
    x, y, width, height = map(float, face["box"])
    return Face(
        id=int(face["id"]),
        box=(x, y, width, height),
        score=None if face["score"] is None else float(face["score"]),
        probabilities=np.array([face["probabilities"][label] for label in labels], np.float32),
        expression=str(face["expression"]),
        confidence=float(face["confidence"]),
        stable=str(face["stable"]),
        stable_since=_seconds(face["stable_since"]),
        predicted=face.get("predicted", False),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


_Shown = tuple[float, Frame | None, Event | None, FrameResult]
"""Seconds since the beginning, and what is seen then; the result is as the page wants it."""


def _alone(events: Iterator[Event], max_pause_s: float = MAX_PAUSE_S) -> Iterator[_Shown]:
    at, before = 0.0, None
    for number, event in enumerate(events):
        now = event.result.time
        at += 0.0 if before is None else min(max(now - before, 0.0), max_pause_s)
        before = now
        yield at, None, event, dataclasses.replace(event.result, seq=number)


def _with_film(events: Iterator[Event], path: Path, video: Path) -> Iterator[_Shown]:
    film = VideoFile(video)
    try:
        began = recorded_at(video)
        upcoming, matched, jumped = next(events), False, False
        clock = began if began is not None else upcoming.result.time
        since: dict[int, tuple[str, float]] = {}
        pending: Event | None = upcoming
        first: float | None = None
        for number in itertools.count():
            frame = film.read()
            if frame is None:
                break
            first = frame.captured if first is None else first
            at = frame.captured - first
            if jumped and began is not None and pending is not None:
                # Somebody set the clock between two frames; the film went on by the one it had begun with.
                began, jumped = pending.result.time - at, False
            while pending is not None and _position(pending, number, at, began) < 0:
                pending = next(events, None)
            event = None
            if pending is not None and _position(pending, number, at, began) == 0:
                event, pending, matched = pending, next(events, None), True
                jumped = pending is not None and _is_jump(event, pending)
            yield at, frame, event, _seen(event, frame, number, clock + at, since)
        if not matched:
            raise DataError(
                f"no event of {path} is about {video}; give the clip that was the source of that run, or its --record"
            )
    finally:
        film.close()


def _is_jump(event: Event, following: Event) -> bool:
    """Whether the wall clock was set between two events of one run: it went back, or far on within one frame."""
    step = following.result.time - event.result.time
    far_on = step > CLOCK_JUMP_S and following.result.seq == event.result.seq + 1
    return event.run == following.run and (far_on or step < -CLOCK_JUMP_S)


def _position(event: Event, number: int, at: float, began: float | None) -> int:
    """Whether the event comes before (-1), at (0) or after (1) the film's frame with this number and time."""
    name = event.result.name
    if name is not None:
        _, mark, index = name.rpartition("#")
        difference = float(int(index) - number) if mark and index.isdecimal() else -1.0
    elif began is not None:
        difference = event.result.time - (began + at)
        difference = 0.0 if abs(difference) <= SAME_FRAME_S else difference
    else:
        difference = -1.0
    return (difference > 0) - (difference < 0)


def _seen(
    event: Event | None, frame: Frame, number: int, now: float, since: dict[int, tuple[str, float]]
) -> FrameResult:
    # Events of a clip that was read faster than it plays have times of their own; the page goes by the film's.
    faces: tuple[Face, ...] = ()
    if event is not None:
        for face in event.result.faces:
            if since.get(face.id, ("", 0.0))[0] != face.stable:
                since[face.id] = (face.stable, now)
        faces = tuple(dataclasses.replace(face, stable_since=since[face.id][1]) for face in event.result.faces)
    seen = event.result if event is not None else None
    return FrameResult(
        seq=number,
        time=now,
        age_ms=seen.age_ms if seen else 0.0,
        width=seen.width if seen else frame.size[0],
        height=seen.height if seen else frame.size[1],
        source=frame.source,
        name=frame.name,
        labels=seen.labels if seen else FER2013_LABELS,
        faces=faces,
        stages_ms=seen.stages_ms if seen else {},
    )


_STATUS: dict[str, Any] = {"failures": 0, "trouble": None, "sinks": [], "recording": None}
"""How this machine is doing now says nothing of the run that is shown."""
