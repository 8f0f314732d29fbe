"""Whether memory stays flat over a long run of the loop."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.pipeline import detector_facts, settings_facts
from fer_edge.contract import shipped
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import DEFAULT_FPS, NAME, Demo
from fer_edge.publish import SinkContext, open_sinks
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop

SIZE = (320, 240)
"""Of the frames: everything the loop does to a larger one, at less cost."""

SHOWN, EMPTY = 120, 20
"""Frames with the demo's face and frames without it, in turn: its track ends each time and a new one begins."""

SAMPLES = 200
WARM_UP = 0.1
"""Share of the run that is not counted: buffers and caches fill."""


class Cycle:
    """Endless frames from memory, by a clock of their own; a `FrameSource` that ends after `count`."""

    dropped = 0

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], count: int) -> None:
        self._numbers = iter(range(count))
        self._pictures = itertools.cycle(pictures)

    def read(self) -> Frame | None:
        """The next frame, or None at the end."""
        number = next(self._numbers, None)
        if number is None:
            return None
        return Frame(image=next(self._pictures), time=time.time(), captured=number / DEFAULT_FPS, source=NAME)

    def close(self) -> None:
        """Nothing is held."""


def measure(settings: Settings, *, frames: int, on_frames: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Run the loop with a rotated file of events over a face that comes and goes, and watch this process.

    Args:
        settings: of fer-edge.
        frames: how many, at least 100.
        on_frames: called with the number of frames since the last call.

    Returns:
        The content of a growth result.

    Raises:
        SourceError: the demo's picture is not installed.
        FerError: a part of the loop cannot be opened.
    """
    model = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    detector = make_detector(settings)
    loop = make_loop(settings, Cycle(_pictures(), frames), detector, classifier)
    context = SinkContext(device=NAME, run="0" * 6, every_frame=settings.every_frame, labels=classifier.labels)
    every = max(1, frames // SAMPLES)
    # Made beforehand, so that what is measured is not the measurement's own list.
    taken = np.zeros((frames // every, 3))
    with_face = highest = 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder, open_sinks([f"file:{folder}/e"], context) as sinks:
        for number, result in enumerate(loop.results(), start=1):
            sinks.publish(result)
            with_face += bool(result.faces)
            highest = max(highest, *(face.id for face in result.faces), 0)
            if number % every == 0:
                taken[number // every - 1] = (number, *memory_mb())
                on_frames(every)
    seconds = time.perf_counter() - began
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"source": NAME, "frames": frames, "width": SIZE[0], "height": SIZE[1]},
        "models": [model_facts(model, classifier.model)],
        "detector": detector_facts(detector.name),
        "settings": settings_facts(settings),
        "frames_with_face": with_face,
        "tracks": highest,
        "seconds": round(seconds, 1),
        "rss_growth_mb": growth(taken[:, 1]),
        "anonymous_growth_mb": growth(taken[:, 2]),
        "samples": [
            {"frames": int(number), "rss_mb": round(rss, 3), "anonymous_mb": round(anonymous, 3)}
            for number, rss, anonymous in taken
        ],
    }


def _pictures() -> list[NDArray[np.uint8]]:
    demo = Demo(SourceOptions(size=SIZE))
    shown = [demo.render(number).copy() for number in range(SHOWN)]
    return shown + [np.full_like(shown[0], 90)] * EMPTY


def memory_mb() -> tuple[float, float]:
    """Resident set size (RSS) and, within it, anonymous memory of this process, in 10^6 bytes.

    Libraries and files that others map as well come and go in the first; what leaks is in the second.
    """
    values = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Anonymous"):
            values[name] = int(rest.split()[0]) * 1024 / 1e6
    return values["Rss"], values["Anonymous"]


def growth(values: NDArray[np.float64]) -> float:
    """By how much the last tenth of the samples lies above the first tenth after the warm-up, medians.

    Args:
        values: float64, (n,), any unit, n at least 3.
    """
    steady = values[int(len(values) * WARM_UP) :]
    tenth = max(1, len(values) // 10)
    return round(float(np.median(steady[-tenth:]) - np.median(steady[:tenth])), 3)


def table(content: dict[str, Any]) -> str:
    """A growth result as lines for a terminal."""
    data, last = content["data"], content["samples"][-1]
    lines = [
        f"{data['frames']:,} frames of {data['width']}x{data['height']}, {content['detector']['name']}, "
        f"{content['seconds']:.0f} s; a face in {content['frames_with_face']:,}, {content['tracks']:,} tracks",
        "",
        f"{'MB':<12}{'at the end':>12}{'growth after the warm-up':>28}",
    ]
    for key, title in MEMORY.items():
        lines.append(f"{title:<12}{last[f'{key}_mb']:>12.1f}{content[f'{key}_growth_mb']:>+28.2f}")
    return "\n".join(lines)


MEMORY = {"rss": "resident", "anonymous": "anonymous"}
"""Kinds of memory, by their key, and how people read them."""


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw memory over the frames."""
    samples = content["samples"]
    numbers = [sample["frames"] for sample in samples]
    with plots.drawing(target, 6.4, 3.6, f"Memory over {content['data']['frames']:,} frames") as figure:
        axes = figure.subplots()
        for number, (key, title) in enumerate(MEMORY.items()):
            axes.plot(numbers, [sample[f"{key}_mb"] for sample in samples], color=plots.COLORS[number],
                      marker=plots.MARKERS[number], markevery=0.1, label=title)  # fmt: skip
        axes.axvspan(0, WARM_UP * numbers[-1], color=plots.GREY, alpha=0.4, label="warm-up")
        axes.set(xlabel="frames", ylabel="MB", ylim=(0, None))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
