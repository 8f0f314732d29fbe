"""The loop that joins the four seams: frames -> faces -> expressions -> results."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np

from fer_edge.contract.errors import DetectorError, FerError, SourceError
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces.framing import crop_gray
from fer_edge.faces.tracking import Tracker
from fer_edge.pace import Pace
from fer_edge.records import CLOCK_JUMP_S, Box, Detection, Face, Frame, FrameResult, Track
from fer_edge.seams import ExpressionClassifier, FaceDetector, FrameSource

_log = logging.getLogger(__name__)

MAX_FAILURES_IN_A_ROW = 100
"""A detector that fails so often does not come back; the run ends with its error."""


class Loop:
    """Takes a source's frames one by one and says what every face in them shows.

    Args:
        source, detector, classifier: the implementations to join.
        tracker: gives faces their ids.
        smoother: steadies their labels.
        pace: how fast a live source is looked at.

    Attributes:
        classifier: of the frames to come; may be replaced by one with the same labels between two frames.
        failures: frames that could not be read as pictures or that the detector failed on.
        frame: the frame of the newest result, with its picture until the next result is asked for.
        reading_since: `time.monotonic()` at which the source was asked for a frame; None while it is not.
    """

    def __init__(
        self, source: FrameSource, detector: FaceDetector, classifier: ExpressionClassifier,
        *, tracker: Tracker, smoother: Smoother, pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._source, self._detector, self.classifier = source, detector, classifier
        self._tracker, self._smoother = tracker, smoother
        self._pace = pace or Pace()
        self._seq = 0
        self._failed_in_a_row = 0
        self.failures = 0
        self.frame: Frame | None = None
        self.reading_since: float | None = None
        self._clock_offset: float | None = None
        self._shift = 0.0

    @property
    def dropped(self) -> int:
        """Frames that the source replaced by newer ones before they were looked at."""
        return self._source.dropped

    def results(self, stop: threading.Event | None = None) -> Iterator[FrameResult]:
        """Yield one result a frame until the source ends or `stop` is set.

        Raises:
            SourceError: the source failed; everything before was yielded.
            DetectorError: the detector failed a hundred times in a row.
        """
        stop = stop or threading.Event()
        while not stop.is_set():
            self._pace.start()
            self.reading_since = time.monotonic()
            try:
                frame = self._source.read()
            except TimeoutError:
                continue
            except FerError:
                raise
            except ValueError as error:
                self._fail("a frame is no picture", error, SourceError)
                continue
            finally:
                self.reading_since = None
            if frame is None:
                return
            result = self.step(frame)
            self.frame = frame
            yield result
            if frame.live:
                stop.wait(self._pace.pause_s(faces=bool(result.faces)))

    def step(self, frame: Frame) -> FrameResult:
        """What one frame shows."""
        began = time.perf_counter()
        classifier = self.classifier
        detections = self._detect(frame)
        detected = time.perf_counter()
        if frame.independent:
            tracks = self._tracker.independent(detections)
        else:
            tracks = self._tracker.update(detections, frame.captured)
        shift = self._clock_shift(frame)
        classifying = 0.0
        faces = []
        for track in tracks:
            crop = crop_gray(frame.image, self._detector.framing.square(track.detection.box), classifier.side)
            before = time.perf_counter()
            probabilities = classifier.classify(crop)
            classifying += time.perf_counter() - before
            best = int(np.argmax(probabilities))
            expression, stable, since = classifier.labels[best], classifier.labels[best], frame.time
            if not frame.independent:
                stable, since = self._smoother.update(track.id, probabilities, frame.captured, frame.time - shift)
                since += shift
            faces.append(
                Face(
                    id=track.id,
                    box=_in_full_frame(track, frame),
                    score=track.detection.score,
                    probabilities=probabilities,
                    expression=expression,
                    confidence=float(probabilities[best]),
                    stable=stable,
                    stable_since=since,
                    predicted=track.detection.predicted,
                )
            )
        self._smoother.keep(self._tracker.alive())
        seq, self._seq = self._seq, self._seq + 1
        width, height = frame.size
        ended = time.perf_counter()
        return FrameResult(
            seq=seq,
            time=frame.time,
            age_ms=self._age_ms(frame, began),
            width=width,
            height=height,
            source=frame.source,
            name=frame.name,
            labels=classifier.labels,
            faces=tuple(faces),
            stages_ms={
                "capture": frame.capture_ms,
                "detect": (detected - began) * 1e3,
                "classify": classifying * 1e3,
                "other": (ended - detected - classifying) * 1e3,
            },
            dropped=self._source.dropped,
        )

    @staticmethod
    def _age_ms(frame: Frame, began: float) -> float:
        # A clip's `captured` is its own clock; its frames are born when they are read.
        if not frame.live:
            return frame.capture_ms + (time.perf_counter() - began) * 1e3
        return max(0.0, (time.monotonic() - frame.captured) * 1e3)

    def _clock_shift(self, frame: Frame) -> float:
        """By how much the wall clock was set since the first frame, seconds; moves only when it jumps."""
        if frame.live:
            offset = frame.time - frame.captured
            if self._clock_offset is None:
                self._clock_offset = offset
            elif abs(offset - self._clock_offset - self._shift) > CLOCK_JUMP_S:
                self._shift = offset - self._clock_offset
                _log.info("the system's clock was set; times of events follow it")
        return self._shift

    def _detect(self, frame: Frame) -> Sequence[Detection]:
        expected = [] if frame.independent else self._tracker.expected(frame.captured)
        try:
            found = self._detector.detect(frame, expected)
        except Exception as error:  # whatever OpenCV raises, the next frame may be fine
            self._fail(f"detector {self._detector.name} failed", error, DetectorError)
            return ()
        self._failed_in_a_row = 0
        return found

    def _fail(self, what: str, error: Exception, kind: type[FerError]) -> None:
        self.failures += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row == 1:
            _log.warning("%s (%s); going on with the next frame", what, error)
        if self._failed_in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise kind(f"{what} {MAX_FAILURES_IN_A_ROW} times in a row ({error}); start it again") from error


def _in_full_frame(track: Track, frame: Frame) -> Box:
    x, y, width, height = track.detection.box
    return (x + frame.offset[0], y + frame.offset[1], width, height)
