"""One run from settings to exit code: open the parts, loop, close them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os

import cv2

from fer_edge import __version__
from fer_edge.contract import shipped
from fer_edge.expressions import litert
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces import open_detector
from fer_edge.faces.tracking import Tracker
from fer_edge.faces.weights import data_folder
from fer_edge.frames import SourceOptions, open_source
from fer_edge.health import read_health
from fer_edge.loop import Loop
from fer_edge.pace import Pace
from fer_edge.publish import SinkContext, open_sinks
from fer_edge.seams import ExpressionClassifier, FaceDetector, FrameSource
from fer_edge.service import models
from fer_edge.service.config import Settings, shown
from fer_edge.service.notify import Notifier
from fer_edge.service.supervision import Interrupted, Stop, Supervisor, hang_up
from fer_edge.service.watching import watching

log = logging.getLogger(__name__)


def run(settings: Settings, *, opens_page: bool = False) -> int:
    """Watch until the source ends, `max_frames` are through, or SIGINT or SIGTERM arrives.

    Args:
        settings: what to do.
        opens_page: open the live page in a browser where there is a desktop.

    Returns:
        0: everything was said; errors are raised.

    Raises:
        FerError: a part cannot be opened, or failed; what came before is published.
    """
    log.debug("settings: %s", ", ".join(f"{key}={value!r}" for key, value in shown(settings).items()))
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop().on_signals())
        supervisor = stack.enter_context(Supervisor(Notifier(), stop.event))
        # What can be refused without touching hardware is refused first.
        since = models.mark_of(settings.model)
        serving = dataclasses.replace(settings, model=str(models.serving(settings.model)))
        classifier = make_classifier(serving)
        detector = make_detector(settings)
        loop: Loop | None = None
        context = SinkContext(
            device=settings.device_name,
            run=os.urandom(3).hex(),
            every_frame=settings.every_frame,
            labels=classifier.labels,
            state=data_folder(),
            facts=lambda: what_runs(classifier if loop is None else loop.classifier, detector),
            board=read_health,
        )
        sinks = stack.enter_context(open_sinks(settings.publish, context))
        source = open_source(settings.source, source_options(settings))
        stack.callback(source.close)
        log.info(
            "run %s: %s, detector %s, model %s", context.run, settings.device_name, detector.name, classifier.model.name
        )
        loop = make_loop(settings, source, detector, classifier)

        def facts() -> dict[str, str]:
            runs = what_runs(classifier if loop is None else loop.classifier, detector)
            return {name: runs[name] for name in ("detector", "model") if name in runs}

        watch = stack.enter_context(watching(settings, context, source, loop, sinks, facts=facts, opens=opens_page))
        measure = None
        if settings.metrics:
            # A web server is 6 MB that few runs need.
            from fer_edge.service.metrics import measuring

            figures = measuring(settings.metrics, loop, sinks, facts=what_runs(classifier, detector))
            measure = stack.enter_context(figures)
        swap = models.ModelSwap(loop, settings.model, threads=settings.threads, since=since)
        stack.enter_context(hang_up(swap.request))
        supervisor.watch(loop, source, sinks.health, swap.poll)
        # The last that is entered is the first that ends: from here on the end has a deadline.
        stack.push(supervisor.ending)
        frames, result = 0, None
        with contextlib.suppress(Interrupted):
            for result in loop.results(stop.event):
                with stop.ends_waiting(result):
                    wanted = sinks.publish(result)
                if watch is not None and loop.frame is not None:
                    watch(loop.frame, result)
                if measure is not None:
                    measure(result)
                supervisor.frame(result)
                frames += 1
                if not wanted or frames == settings.max_frames:
                    break
            if result is not None:
                # A file's events are read completely, its last ones too.
                with stop.ends_waiting(result):
                    sinks.drain()
    # Now the outputs have said their last.
    log.info("run %s: %d frames, %d dropped, %d failures", context.run, frames, loop.dropped, loop.failures)
    return 0


def what_runs(classifier: ExpressionClassifier, detector: FaceDetector) -> dict[str, str]:
    """Version, model and detector, for those who look on from elsewhere."""
    facts = {"version": __version__, "detector": detector.name}
    if isinstance(classifier, litert.LiteRtClassifier):
        facts |= {"model": classifier.model.name, "model_sha256": classifier.model.sha256}
    return facts


def make_classifier(settings: Settings) -> litert.LiteRtClassifier:
    """The expression network as these settings ask for it."""
    return litert.load(shipped.model_path(settings.model), threads=settings.threads)


def make_detector(settings: Settings) -> FaceDetector:
    """The face detector as these settings ask for it; `threads` holds for all of OpenCV in this process."""
    cv2.setNumThreads(settings.threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return open_detector(
        settings.detector,
        width=settings.detect_width,
        min_face=settings.min_face,
        look_interval_s=settings.look_interval_s,
        scan_interval_s=settings.scan_interval_s,
        threads=settings.threads,
        scan_threads=min(settings.scan_threads, cores),
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
