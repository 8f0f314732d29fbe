"""One run from settings to exit code: open the parts, loop, close them."""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
from collections.abc import Iterator

import cv2

from fer_edge.expressions import litert
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces import open_detector
from fer_edge.faces.tracking import Tracker
from fer_edge.frames import SourceOptions, open_source
from fer_edge.loop import Loop
from fer_edge.pace import Pace
from fer_edge.publish import SinkContext, open_sinks
from fer_edge.seams import ExpressionClassifier, FaceDetector, FrameSource
from fer_edge.service.config import Settings, shown
from fer_edge.service.notify import Notifier

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Watch until the source ends, `max_frames` are through, or SIGINT or SIGTERM arrives.

    Returns:
        0: everything was said; errors are raised.

    Raises:
        FerError: a part cannot be opened, or failed; what came before is published.
    """
    log.debug("settings: %s", ", ".join(f"{key}={value!r}" for key, value in shown(settings).items()))
    notifier = Notifier()
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(_stopped_by_signals())
        # What can be refused without touching hardware is refused first.
        classifier = make_classifier(settings)
        detector = make_detector(settings)
        context = SinkContext(
            device=settings.device_name,
            run=secrets.token_hex(3),
            every_frame=settings.every_frame,
            labels=classifier.labels,
        )
        sinks = stack.enter_context(open_sinks(settings.publish, context))
        source = open_source(settings.source, source_options(settings))
        stack.callback(source.close)
        log.info(
            "run %s: %s, detector %s, model %s", context.run, settings.device_name, detector.name, classifier.model.name
        )
        loop = make_loop(settings, source, detector, classifier)
        frames = 0
        for result in loop.results(stopped):
            wanted = sinks.publish(result)
            if frames == 0:
                notifier.ready()
            notifier.watchdog()
            frames += 1
            if not wanted or frames == settings.max_frames:
                break
        notifier.stopping()
        log.info("run %s: %d frames, %d failures", context.run, frames, loop.failures)
    return 0


def make_classifier(settings: Settings) -> litert.LiteRtClassifier:
    """The expression network as these settings ask for it."""
    return litert.load(litert.model_path(settings.model), threads=settings.threads)


def make_detector(settings: Settings) -> FaceDetector:
    """The face detector as these settings ask for it; `threads` holds for all of OpenCV in this process."""
    cv2.setNumThreads(settings.threads)
    return open_detector(
        settings.detector,
        width=settings.detect_width,
        min_face=settings.min_face,
        scan_interval_s=settings.scan_interval_s,
    )


def make_loop(
    settings: Settings, source: FrameSource, detector: FaceDetector, classifier: ExpressionClassifier
) -> Loop:
    """The loop as these settings ask for it."""
    return Loop(
        source,
        detector,
        classifier,
        tracker=Tracker(sightings=settings.sightings, misses=settings.misses),
        smoother=Smoother(
            classifier.labels,
            time_constant_s=settings.time_constant_s,
            dwell_s=settings.dwell_s,
            lead=settings.lead,
            min_confidence=settings.min_confidence,
        ),
        pace=Pace(max_fps=settings.max_fps, idle_fps=settings.idle_fps, idle_after_s=settings.idle_after_s),
    )


def source_options(settings: Settings) -> SourceOptions:
    """What a frame source may know of the settings."""
    return SourceOptions(
        size=settings.size_pixels,
        fps=settings.fps,
        rotate=settings.rotate,
        flip=settings.flip,
        roi=settings.roi_pixels,
        lores=(settings.detect_width, settings.detect_width),
    )


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second one ends the process as it usually would."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
