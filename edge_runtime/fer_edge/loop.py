"""The loop that joins the four seams: frames -> faces -> expressions -> results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces.framing import crop_gray
from fer_edge.faces.tracking import Tracker
from fer_edge.records import Box, Face, Frame, FrameResult, Track
from fer_edge.seams import ExpressionClassifier, FaceDetector, FrameSource


class Loop:
    """Takes a source's frames one by one and says what every face in them shows.

    Args:
        source, detector, classifier: the implementations to join.
        tracker: gives faces their ids.
        smoother: steadies their labels.
    """

    def __init__(
        self, source: FrameSource, detector: FaceDetector, classifier: ExpressionClassifier,
        *, tracker: Tracker, smoother: Smoother,
    ) -> None:  # fmt: skip
        self._source, self._detector, self._classifier = source, detector, classifier
        self._tracker, self._smoother = tracker, smoother
        self._seq = 0

    def results(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[FrameResult]:
        """Yield one result a frame until the source ends or `stopped()` is true.

        Raises:
            SourceError: the source failed; everything before was yielded.
        """
        while not stopped():
            try:
                frame = self._source.read()
            except TimeoutError:
                continue
            if frame is None:
                return
            yield self.step(frame)

    def step(self, frame: Frame) -> FrameResult:
        """What one frame shows."""
        began = time.perf_counter()
        expected = [] if frame.independent else self._tracker.expected(frame.captured)
        detections = self._detector.detect(frame, expected)
        detected = time.perf_counter()
        if frame.independent:
            tracks = self._tracker.independent(detections)
        else:
            tracks = self._tracker.update(detections, frame.captured)
        classifying = 0.0
        faces = []
        for track in tracks:
            crop = crop_gray(frame.image, self._detector.framing.square(track.detection.box), self._classifier.side)
            before = time.perf_counter()
            probabilities = self._classifier.classify(crop)
            classifying += time.perf_counter() - before
            best = int(probabilities.argmax())
            expression, stable, since = self._classifier.labels[best], self._classifier.labels[best], frame.time
            if not frame.independent:
                stable, since = self._smoother.update(track.id, probabilities, frame.captured, frame.time)
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
                )
            )
        self._smoother.keep(self._tracker.alive())
        seq, self._seq = self._seq, self._seq + 1
        width, height = frame.size
        ended = time.perf_counter()
        return FrameResult(
            seq=seq,
            time=frame.time,
            age_ms=max(0.0, (time.time() - frame.time) * 1e3),
            width=width,
            height=height,
            source=frame.source,
            name=frame.name,
            labels=self._classifier.labels,
            faces=tuple(faces),
            stages_ms={
                "capture": frame.capture_ms,
                "detect": (detected - began) * 1e3,
                "classify": classifying * 1e3,
                "other": (ended - detected - classifying) * 1e3,
            },
        )


def _in_full_frame(track: Track, frame: Frame) -> Box:
    x, y, width, height = track.detection.box
    return (x + frame.offset[0], y + frame.offset[1], width, height)
