"""One hour of live capture, ten times as fast: memory, threads and file handles stay as they are."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from fer_bench.growth import growth, memory_mb
from fer_bench.soak.simulated import SimulatedCapture
from fer_edge.contract.errors import SourceError, UsageError
from fer_edge.frames import SourceOptions, open_source
from fer_edge.frames.demo import Demo
from fer_edge.publish import SinkContext, open_sinks
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop

FRAMES = 108_000
"""One hour at 30 frames/s."""

FPS = 300.0
SIZE = (320, 240)
SHOWN, EMPTY = 120, 30
"""Frames with the demo's face and frames without it, in turn."""

FAULT_EVERY = 9_000
"""Frames between two unpluggings: five minutes."""

SAMPLES = 100


def live_hour(scale: float) -> dict[str, Any]:
    """Run the loop on a simulated camera, unplugged every five minutes, with a rotated file of events.

    Raises:
        UsageError: the demo's picture is not installed.
    """
    frames = max(1000, round(FRAMES * scale))
    try:
        camera = _Camera(frames)
    except SourceError as error:
        raise UsageError(str(error)) from error
    settings = Settings(max_fps=None)
    classifier = make_classifier(settings)
    context = SinkContext(device="soak", run="0" * 6, every_frame=False, labels=classifier.labels)
    taken = np.zeros((SAMPLES, 4))
    seen = faces = 0
    with (
        tempfile.TemporaryDirectory(prefix="fer-bench-") as folder,
        mock.patch("cv2.VideoCapture", camera.opened),
        open_sinks([f"file:{folder}/events.jsonl?max_mb=1&keep=1"], context) as sinks,
    ):
        source = open_source("/dev/video0", SourceOptions(size=SIZE))
        try:
            loop = make_loop(settings, source, make_detector(settings), classifier)
            for result in loop.results(camera.over):
                sinks.publish(result)
                seen += 1
                faces += bool(result.faces)
                number = min(camera.frames * SAMPLES // frames, SAMPLES - 1)
                if not taken[number, 0]:
                    taken[number] = (*memory_mb(), threading.active_count(), _handles())
        finally:
            source.close()
    taken = taken[taken[:, 0] > 0]
    return {
        "captured": camera.frames,
        "seen": seen,
        "dropped": loop.dropped,
        "with_face": faces,
        "unplugged": camera.unplugged,
        "anonymous_growth_mb": growth(taken[:, 1]),
        "resident_growth_mb": growth(taken[:, 0]),
        "thread_growth": round(growth(taken[:, 2])),
        "handle_growth": round(growth(taken[:, 3])),
    }


class _Camera:
    """One that is unplugged for a moment every `FAULT_EVERY` frames, and that counts its frames.

    Attributes:
        frames: delivered so far.
        unplugged: how often.
        over: set after the last one.
    """

    def __init__(self, last: int) -> None:
        demo = Demo(SourceOptions(size=SIZE))
        shown = [demo.render(number).copy() for number in range(SHOWN)]
        self._pictures = shown + [np.full_like(shown[0], 90)] * EMPTY
        self._last, self._fault_every = last, min(FAULT_EVERY, last // 4)
        self.frames = self.unplugged = 0
        self.over = threading.Event()

    def opened(self, *_: object) -> SimulatedCapture:
        """What `cv2.VideoCapture` returns; a camera that was unplugged is back by then."""
        began = self.frames
        lost = False

        def fault() -> str:
            nonlocal lost
            if lost or (self.frames - began and self.frames % self._fault_every == 0):
                self.unplugged += not lost
                lost = True
                return "gone"
            self.frames += 1
            if self.frames >= self._last:
                self.over.set()
            return ""

        return SimulatedCapture(self._pictures, fault, fps=FPS)


def _handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
