"""What a frame costs as faces grow: the classifier's share, and the search's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, scenes
from fer_bench.environment import model_facts
from fer_bench.pipeline import DecodedFrames, detector_facts, settings_facts
from fer_bench.scenes import Placement, Stage
from fer_edge.contract import shipped
from fer_edge.contract.errors import SourceError
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.frames.demo import picture_path
from fer_edge.records import Frame
from fer_edge.seams import FaceDetector
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop
from fer_train.datasets import Split

COUNTS = (1, 2, 4, 8, 16)
GRID = (4, 4)
SIDE = 108.0
"""Pixels of each face's picture, the same however many there are; a cell of the grid is 160x120."""

FRAMES = 60
SEED = 0
SWAY = 6
"""Faces move to and fro by at most so many pixels."""

STAGES = ("detect", "classify", "other", "total")
DEMO_FACE = (slice(42, 212), slice(138, 308))
"""Rows and columns of the demo's picture in which its face lies."""


def measure(
    settings: Settings, faces: Split | None, *, rounds: int, on_round: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Run the loop on scenes with 1, 2, 4, 8 and 16 faces, in turn within each round.

    Args:
        settings: of fer-edge.
        faces: pictures to show; None tiles the demo's face.
        rounds: at least 1; one more warms up.
        on_round: called with the number of rounds since the last call.

    Returns:
        The content of a scaling result.

    Raises:
        SourceError: the demo's picture is not installed.
        FerError: a part of the loop cannot be opened.
    """
    model = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    detector, scanner = make_detector(settings), make_detector(dataclasses.replace(settings, scan_interval_s=0.0))
    pictures = demo_faces() if faces is None else list(scenes.sample(faces, COUNTS[-1], SEED).images)
    crowds = [crowd(pictures[:count]) for count in COUNTS]
    times = np.empty((rounds, len(COUNTS), len(STAGES)))
    scans = np.empty((rounds, len(COUNTS)))
    found = np.zeros(len(COUNTS))
    for turn in range(-1, rounds):
        for number in np.roll(np.arange(len(COUNTS)), -turn):
            stages, found[number] = _pass(settings, crowds[number], detector, classifier)
            scan_ms = _scan_ms(scanner, crowds[number])
            if turn >= 0:
                times[turn, number], scans[turn, number] = stages, scan_ms
        if turn >= 0:
            on_round(1)
    medians, scan_medians = np.median(times, axis=0), np.median(scans, axis=0)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"faces": "demo" if faces is None else "given", "frames": FRAMES, "side": SIDE,
                 "width": scenes.WIDTH, "height": scenes.HEIGHT},
        "models": [model_facts(model, classifier.model)],
        "detector": detector_facts(detector.name),
        "settings": settings_facts(settings),
        "rounds": rounds,
        "points": [
            {
                "faces": count,
                "found": round(float(found[number]), 3),
                **{f"{stage}_ms": round(float(medians[number, n]), 4) for n, stage in enumerate(STAGES)},
                "scan_ms": round(float(scan_medians[number]), 4),
            }
            for number, count in enumerate(COUNTS)
        ],
        "classify_line": line(found, medians[:, STAGES.index("classify")]),
        "scan_line": line(found, scan_medians),
    }  # fmt: skip


def demo_faces() -> list[NDArray[np.uint8]]:
    """The demo's face (uint8, (side, side), grey levels) as often as the largest crowd needs it.

    Raises:
        SourceError: its picture is not installed, or damaged.
    """
    path = picture_path()
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SourceError(f"{path} cannot be decoded; install scikit-image again")
    return [picture[DEMO_FACE].view(np.uint8)] * COUNTS[-1]


def crowd(pictures: Sequence[NDArray[np.uint8]]) -> list[Frame]:
    """Frames of 640x480 in which these pictures, at most 16, sway in the cells of a grid, 30 frames a second."""
    cells = np.random.default_rng(SEED).permutation(GRID[0] * GRID[1])[: len(pictures)]
    width, height = scenes.WIDTH / GRID[0], scenes.HEIGHT / GRID[1]
    placements = [
        Placement(
            side=SIDE,
            x=cell % GRID[0] * width + (width - SIDE) / 2,
            y=cell // GRID[0] * height + (height - SIDE) / 2,
            dx=1.0,
            dy=0.3,
            roll=0.0,
            seed=SEED,
        )
        for cell in cells
    ]
    stage, wall = Stage(), scenes.neutral_wall(128.0, SEED)
    shown = list(zip(pictures, placements, strict=True))
    return [
        Frame(
            image=stage.draw(shown, wall, round(SWAY * np.sin(number / 8))),
            time=time.time(),
            captured=number / scenes.FPS,
            source="crowd",
            # Frames with names are a file's: their scans are waited for, and are part of `detect`.
            name=f"crowd#{number}",
        )
        for number in range(FRAMES)
    ]


def _pass(
    settings: Settings, frames: Sequence[Frame], detector: FaceDetector, classifier: LiteRtClassifier
) -> tuple[NDArray[np.float64], float]:
    """Mean milliseconds a frame of each stage (float64, (4,)), and mean number of faces."""
    loop = make_loop(settings, DecodedFrames(frames), detector, classifier)
    results = list(loop.results())
    # A face counts from its second sighting on, so the first frames are lighter than the rest.
    steady = results[settings.sightings :]
    stages = np.array([[result.stages_ms[stage] for stage in STAGES[:-1]] for result in steady]).mean(axis=0)
    return np.append(stages, stages.sum()), float(np.mean([len(result.faces) for result in steady]))


def _scan_ms(scanner: FaceDetector, frames: Sequence[Frame]) -> float:
    """Mean milliseconds of one scan after another: in a loop the other cores fall asleep while faces are classified."""
    began = time.perf_counter()
    for frame in frames:
        scanner.detect(frame)
    return (time.perf_counter() - began) * 1e3 / len(frames)


def line(faces: NDArray[np.float64], ms: NDArray[np.float64]) -> dict[str, float]:
    """Least-squares line through the points.

    Args:
        faces, ms: float64, (n,), n at least 2.

    Returns:
        `ms_per_face`, `ms_at_none`, and `r2`, the share of the variance that the line explains (1 where
        there is none).
    """
    design = np.stack([faces, np.ones_like(faces)], axis=1)
    (slope, intercept), *_ = np.linalg.lstsq(design, ms, rcond=None)
    spread = float(((ms - ms.mean()) ** 2).sum())
    left = float(((ms - design @ (slope, intercept)) ** 2).sum())
    return {
        "ms_per_face": round(float(slope), 4),
        "ms_at_none": round(float(intercept), 4),
        "r2": round(1 - left / spread if spread else 1.0, 4),
    }


def table(content: dict[str, Any]) -> str:
    """A scaling result as lines for a terminal."""
    data, classify, scan = content["data"], content["classify_line"], content["scan_line"]
    lines = [
        f"{content['detector']['name']}, {data['width']}x{data['height']}, mean of {data['frames']} frames, median of "
        f"{content['rounds']} rounds",
        "",
        f"{'faces':>5}{'found':>8}" + "".join(f"{stage:>10}" for stage in STAGES) + f"{'a scan':>10}   ms",
    ]
    for point in content["points"]:
        cells = "".join(f"{point[f'{stage}_ms']:>10.3f}" for stage in (*STAGES, "scan"))
        lines.append(f"{point['faces']:>5}{point['found']:>8.2f}{cells}")
    lines += [
        "",
        f"classify: {classify['ms_per_face']:.3f} ms a face, linear to R2 {classify['r2']:.3f}; "
        f"a scan: {scan['ms_at_none']:.2f} ms and {scan['ms_per_face']:+.3f} ms a face",
    ]
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw each stage over the number of faces found."""
    points = content["points"]
    found = [point["found"] for point in points]
    with plots.drawing(target, 6.4, 4.2, f"Cost of a frame as faces grow ({content['detector']['name']})") as figure:
        axes = figure.subplots()
        for number, (stage, title) in enumerate(
            {"total": "whole loop", "detect": "detect", "scan": "a scan of the whole frame",
             "classify": "classify", "other": "track, crop, smooth"}.items()
        ):  # fmt: skip
            axes.plot(found, [point[f"{stage}_ms"] for point in points], color=plots.COLORS[number],
                      marker=plots.MARKERS[number], label=title)  # fmt: skip
        axes.set(xlabel="faces found in the frame", ylabel="ms a frame", ylim=(0, None))
        axes.legend(framealpha=0.6)
