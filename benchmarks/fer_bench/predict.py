"""What a Raspberry Pi would need for the loop: a prediction, until someone measures it there.

The bridge is YuNet at 160x120 in OpenCV. OpenCV Zoo publishes how long it takes on the processor cores of the
boards; we measure how long it takes here, and each stage of the loop in the same minute as a multiple of it.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.peers import DEMO, bgr, write_demo
from fer_bench.pipeline import STAGES, decode, detector_facts, settings_facts, time_loop
from fer_edge.contract import shipped
from fer_edge.contract.errors import DetectorError
from fer_edge.contract.files import sha256_of
from fer_edge.faces.weights import find_yunet
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board, and the published time of YuNet at 160x120 on the same processor core.

    Attributes:
        name: of the board.
        core: its processor core.
        clock_ghz: of the board.
        measured_on: the board that the time was published for.
        measured_ghz: its clock.
        measured_ms: median, face_detection_yunet_2023mar, all four cores.
    """

    name: str
    core: str
    clock_ghz: float
    measured_on: str
    measured_ghz: float
    measured_ms: float

    @property
    def yunet_ms(self) -> tuple[float, float]:
        """YuNet at 160x120 on the board, the least and the most: the clock counts in full, or not at all."""
        scaled = self.measured_ms * self.measured_ghz / self.clock_ghz
        return min(scaled, self.measured_ms), max(scaled, self.measured_ms)


BOARDS = (
    Board(name="Raspberry Pi 5", core="Cortex-A76", clock_ghz=2.4,
          measured_on="Khadas Edge2", measured_ghz=2.25, measured_ms=2.30),
    Board(name="Raspberry Pi 4", core="Cortex-A72", clock_ghz=1.8,
          measured_on="Raspberry Pi 4B", measured_ghz=1.5, measured_ms=5.93),
    Board(name="Raspberry Pi Zero 2 W", core="Cortex-A53", clock_ghz=1.0,
          measured_on="Horizon Sunrise X3 PI", measured_ghz=1.2, measured_ms=10.07),
)  # fmt: skip

SOURCES = (
    "Boards: github.com/opencv/opencv_zoo, benchmark/README.md, medians of face_detection_yunet_2023mar.onnx.",
    "Other work: the same page as of opencv-python 4.7.0.72, means: MobileNet-V1 5.90 ms on an i7-12700K and 72.33 ms "
    "on a Raspberry Pi 4B, YuNet 0.72 ms and 5.43 ms.",
)

OTHER_WORK = (72.33 / 5.90) / (5.43 / 0.72)
"""How much more than YuNet other work slows down from a desktop to a Pi 4, after the published times of
MobileNet-V1, which is made of depthwise-separable convolutions as mini-Xception is."""

BOARD_CORES = 4
"""Of each of the boards; the published times are of all four, so one alone is at most four times slower. How much they
gain there cannot be measured elsewhere: on a machine of two busy cores it looks like nothing."""

SIZE = (160, 120)
CALLS = 40


def measure(
    clip: Path | None, settings: Settings, *, max_frames: int, rounds: int,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Time the loop and YuNet in turn on this machine, and carry the ratios over to the boards.

    Args:
        clip: a video; None is the moving demo face.
        settings: of fer-edge, with one thread.
        max_frames: at most so many frames.
        rounds: at least 1; one more warms up.
        on_round: called with the number of rounds since the last call.

    Returns:
        The content of a predict result.

    Raises:
        DetectorError: YuNet's weights are not installed.
        FerError: a part of the loop cannot be opened.
    """
    weights = find_yunet()
    if weights is None:
        raise DetectorError("the prediction is made with YuNet; run: fer-edge model pull yunet")
    model = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    detector = make_detector(settings)
    settings = dataclasses.replace(settings, detector=detector.name, max_frames=max_frames)
    parts = [stage for stage in STAGES if stage not in ("decode", "own")]
    stages, yunet = np.empty((rounds, len(parts))), np.empty(rounds)
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        shown = clip or write_demo(Path(folder) / f"{DEMO}.mkv", max_frames)
        frames = decode(dataclasses.replace(settings, source=str(shown)))
        digest = sha256_of(shown)
        for turn in range(-1, rounds):
            times, _ = time_loop(settings, frames, detector, classifier, Path(folder) / f"{turn}.jsonl")
            alone = _time_yunet(weights, frames)
            if turn >= 0:
                stages[turn], yunet[turn] = times.mean(axis=1), alone
                on_round(1)
    cv2.setNumThreads(settings.threads)
    multiples = np.median(stages / yunet[:, None], axis=0)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"clips": [{"file": DEMO if clip is None else clip.name, "sha256": digest, "frames": len(frames),
                            "width": frames[0].size[0], "height": frames[0].size[1]}]},
        "models": [model_facts(model, classifier.model)],
        "detector": detector_facts(detector.name),
        "settings": settings_facts(settings),
        "rounds": rounds,
        "here": {
            "yunet_160x120_ms": round(float(np.median(yunet)), 4),
            "stages_ms": _rounded(parts, np.median(stages, axis=0)),
            "multiples_of_yunet": _rounded(parts, multiples),
        },
        "other_work": round(OTHER_WORK, 3),
        "sources": list(SOURCES),
        "boards": [_prediction(board, parts, multiples) for board in BOARDS],
    }  # fmt: skip


def _time_yunet(weights: Path, frames: Sequence[Frame]) -> float:
    """Mean milliseconds of YuNet, one thread, on frames of 160x120 that were made small as for the published figure.

    The stages are means, too, so that other load of the machine touches both alike.
    """
    cv2.setNumThreads(1)
    detector = cv2.FaceDetectorYN.create(str(weights), "", SIZE)
    small = [cv2.resize(bgr(frame), SIZE, interpolation=cv2.INTER_AREA) for frame in frames[:CALLS]]
    took = []
    for number in range(-3, CALLS):
        began = time.perf_counter()
        detector.detect(small[number % len(small)])
        if number >= 0:
            took.append(time.perf_counter() - began)
    return float(np.mean(took)) * 1e3


def _rounded(parts: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {stage: round(float(value), 4) for stage, value in zip(parts, values, strict=True)}


def _prediction(board: Board, parts: Sequence[str], multiples: NDArray[np.float64]) -> dict[str, Any]:
    low, high = board.yunet_ms
    stages = {
        stage: {
            "low": round(float(multiple * low), 2),
            "high": round(float(multiple * high * BOARD_CORES * OTHER_WORK), 2),
        }
        for stage, multiple in zip(parts, multiples, strict=True)
    }
    return {
        **dataclasses.asdict(board),
        "stages_ms": stages,
        "frames_per_s": {
            "low": round(1e3 / stages["total"]["high"], 1),
            "high": round(1e3 / stages["total"]["low"], 1),
        },
    }


def table(content: dict[str, Any]) -> str:
    """A predict result as lines for a terminal."""
    here, boards = content["here"], content["boards"]
    lines = [
        "PREDICTED, not measured: on a board, fer-bench report measures",
        "",
        f"{'ms a frame':<22}{'here':>10}" + "".join(f"{board['name']:>24}" for board in boards),
    ]
    for stage, ms in here["stages_ms"].items():
        cells = [_between(board["stages_ms"][stage]) for board in boards]
        lines.append(f"{STAGES[stage]:<22}{ms:>10.2f}" + "".join(f"{cell:>24}" for cell in cells))
    rate = 1e3 / here["stages_ms"]["total"]
    cells = [_between(board["frames_per_s"]) for board in boards]
    lines.append(f"{'frames/s':<22}{rate:>10.0f}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join([*lines, "", *derivation(content)])


def derivation(content: dict[str, Any]) -> list[str]:
    """How the figures come about, in sentences."""
    here = content["here"]
    published = "; ".join(
        f"{board['name']} {board['measured_ms']:g} ms ({board['measured_on']}, {board['core']} at "
        f"{board['measured_ghz']:g} GHz; the board runs at {board['clock_ghz']:g})"
        for board in content["boards"]
    )
    return [
        f"YuNet at 160x120, published: {published}. Here: {here['yunet_160x120_ms']:.2f} ms on one thread.",
        "Least: each stage takes as many times YuNet's time as here, and a higher clock counts in full. Most: the "
        f"clock does not help, one core is {BOARD_CORES} times slower than the published all {BOARD_CORES}, and the "
        f"stage slows down {content['other_work']:.2f} times more than YuNet does, as MobileNet-V1 was published to.",
        "Not in it: capturing and decoding, throttling by heat, and what Python itself costs more on a small core.",
        *content["sources"],
    ]


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw the predicted range of each stage on each board."""
    stages = list(content["here"]["stages_ms"])
    with plots.drawing(target, 8.6, 3.6, "Predicted time a frame, not measured") as figure:
        axes = figure.subplots()
        for number, board in enumerate(content["boards"]):
            rows = np.arange(len(stages)) + 0.22 * (number - 1)
            ranges = [board["stages_ms"][stage] for stage in stages]
            axes.hlines(rows, [r["low"] for r in ranges], [r["high"] for r in ranges], color=plots.COLORS[number],
                        linewidth=5, label=board["name"])  # fmt: skip
        axes.plot(list(content["here"]["stages_ms"].values()), range(len(stages)), "kx", label="measured here")
        axes.set_yticks(range(len(stages)), [STAGES[stage] for stage in stages])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("ms a frame")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _between(bounds: dict[str, float]) -> str:
    digits = 0 if bounds["low"] >= 10 else 1 if bounds["low"] >= 1 else 2
    return f"{bounds['low']:.{digits}f} to {bounds['high']:.{digits}f}"
