"""How often the loop is right about faces in a scene, which it has to find and frame itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, scenes
from fer_bench.accuracy import classify, data_facts
from fer_bench.environment import model_facts
from fer_bench.pipeline import DecodedFrames, detector_facts, settings_facts
from fer_bench.recall import reference_detector
from fer_bench.scenes import Placement, Stage
from fer_bench.statistics import paired_interval
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.seams import FaceDetector
from fer_edge.service.config import Settings
from fer_edge.service.run import make_detector, make_loop
from fer_train.datasets import Dataset, Split

APART_S = 10.0
"""Between the scenes of two pictures on the source's clock: nothing is remembered for so long."""
SIDE_BINS = (120, 156, 192, 228, 264, 300)
MISSED = -1


def measure(
    data: Dataset, name: str, runs: Sequence[Settings], *, limit: int | None, seed: int,
    on_picture: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Show every picture of a split in a scene and let the loop find, frame and classify the face.

    Args:
        data: the data set.
        name: of the split.
        runs: settings of fer-edge with one detector each and the same model; the newest frame counts.
        limit: at most so many pictures, a stratified sample; None takes all.
        seed: of sample and scenes.
        on_picture: called with the number of pictures since the last call, `len(runs) + 1` times as many in all.

    Returns:
        The content of a scene result.

    Raises:
        DataError: there is no such split.
        DetectorError: a detector, or YuNet for the reference, cannot be loaded.
        ModelFileError: the model cannot be used, or its labels are not the data's.
    """
    split = scenes.sample(data.split(name), limit, seed)
    settings = runs[0]
    classifier, model = scenes.open_classifier(settings, data)
    detectors = [make_detector(run) for run in runs]
    placements = scenes.placements(len(split), seed)
    aligned = classify(classifier, split, data.labels, lambda _: None).argmax(axis=1) == split.labels
    scanned = full_scan(split, placements, settings.min_face, on_picture)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": data_facts(data, name, split),
        "models": [model_facts(model, classifier.model)],
        "scene": scenes.facts(seed),
        "full_scan": {"found": _share(scanned)},
        "detectors": [
            _figures(run, detector, split, placements, aligned, scanned,
                     *watched(run, detector, classifier, split, data.labels, placements, on_picture))
            for run, detector in zip(runs, detectors, strict=True)
        ],
    }  # fmt: skip


def full_scan(
    split: Split, placements: Sequence[Placement], min_face: int, on_picture: Callable[[int], None]
) -> NDArray[np.bool_]:
    """Whether YuNet finds each face (bool, (n,)) on the last frame of its scene in full resolution.

    Raises:
        DetectorError: YuNet's weights are not installed.
    """
    reference = reference_detector(scenes.WIDTH, min_face)
    stage = Stage()
    found = np.empty(len(split), bool)
    for row, placement in enumerate(placements):
        frame = stage.frames(split.images[row], placement, 0.0)[-1]
        boxes = [detection.box for detection in reference.scan(frame)]
        found[row] = scenes.best_match(boxes, placement.square()) is not None
        on_picture(1)
    return found


def watched(
    settings: Settings, detector: FaceDetector, classifier: LiteRtClassifier, split: Split, labels: Sequence[str],
    placements: Sequence[Placement], on_picture: Callable[[int], None],
) -> tuple[NDArray[np.int64], int]:  # fmt: skip
    """What the loop says of each face in the last frame of its scene.

    Returns:
        Index into `labels` (int64, (n,)), or -1 where the face was missed; and how many faces were
        reported where there is none.
    """
    stage = Stage()
    said = np.full(len(split), MISSED, np.int64)
    false = 0
    for row, placement in enumerate(placements):
        frames = stage.frames(split.images[row], placement, row * APART_S)
        loop = make_loop(settings, DecodedFrames(frames), detector, classifier)
        *_, last = loop.results()
        match = scenes.best_match([face.box for face in last.faces], placement.square())
        if match is not None:
            said[row] = labels.index(last.faces[match].expression)
        false += len(last.faces) - (match is not None)
        on_picture(1)
    return said, false


def _figures(
    settings: Settings, detector: FaceDetector, split: Split, placements: Sequence[Placement],
    aligned: NDArray[np.bool_], scanned: NDArray[np.bool_], said: NDArray[np.int64], false: int,
) -> dict[str, Any]:  # fmt: skip
    right, found = said == split.labels, said != MISSED
    bins = np.digitize([placement.side for placement in placements], SIDE_BINS[1:-1])
    return {
        **detector_facts(detector.name),
        "framing": {"scale": detector.framing.scale, "rise": detector.framing.rise},
        "settings": settings_facts(settings),
        "found": _share(found),
        "false_faces": false,
        "all": paired(aligned, right),
        "where_full_scan_finds": paired(aligned[scanned], right[scanned]) if scanned.any() else None,
        "where_found": paired(aligned[found], right[found]) if found.any() else None,
        "sides": [
            {"from": low, "to": high, "pictures": int((bins == n).sum()), "found": _share(found[bins == n]),
             "aligned": _share(aligned[bins == n]), "scene": _share(right[bins == n])}
            for n, (low, high) in enumerate(itertools.pairwise(SIDE_BINS))
            if (bins == n).any()
        ],
    }  # fmt: skip


def paired(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> dict[str, Any]:
    """Two ways of classifying the same pictures.

    Args:
        before, after: whether each picture was classified rightly, (n,), n at least 1.

    Returns:
        `pictures`; `before` and `after`: accuracies, 0..1; `gained` and `lost`: pictures that only the second
        or only the first way gets right; `change_points` and its 95 % interval, percentage points.
    """
    gained, lost, count = int((after & ~before).sum()), int((before & ~after).sum()), len(after)
    low, high = paired_interval(gained, lost, count)
    return {
        "pictures": count,
        "before": _share(before),
        "after": _share(after),
        "gained": gained,
        "lost": lost,
        "change_points": round(100 * (gained - lost) / count, 3),
        "change_points_95": [round(100 * low, 3), round(100 * high, 3)],
    }


def _share(values: NDArray[np.bool_]) -> float:
    return round(float(values.mean()), 6)


def table(content: dict[str, Any]) -> str:
    """A scene result as lines for a terminal."""
    data, scene = content["data"], content["scene"]
    lines = [
        f"{data['split']} of {data['file']}: {data['pictures']} pictures at {scene['sides'][0]} to {scene['sides'][1]} "
        f"px in {scene['width']}x{scene['height']}; {content['models'][0]['name']}",
        f"YuNet on the full-resolution frame finds {100 * content['full_scan']['found']:.2f} %",
        "",
        f"{'percent':<34}{'pictures':>9}{'aligned':>9}{'scene':>9}  change (95 % interval)",
    ]
    for entry in content["detectors"]:
        for key, title in GROUPS.items():
            figures = entry[key]
            if figures is None:
                continue
            low, high = figures["change_points_95"]
            lines.append(
                f"{entry['name'] + ', ' + title:<34}{figures['pictures']:>9}{100 * figures['before']:>9.2f}"
                f"{100 * figures['after']:>9.2f}  {figures['change_points']:+.2f} ({low:+.2f} to {high:+.2f})"
            )
        lines.append(f"{'':<34}found {100 * entry['found']:.2f} %, false faces {entry['false_faces']}")
    return "\n".join(lines)


GROUPS = {"all": "all faces", "where_full_scan_finds": "where the full scan finds", "where_found": "where found"}
"""Which pictures a comparison is about, by its key, and how people read it."""


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw accuracy and share found over the face's size, for every detector."""
    with plots.drawing(target, 9, 3.8, "FER2013 faces in a scene, against the aligned pictures") as figure:
        left, right = figure.subplots(1, 2, sharex=True)
        for number, (entry, color) in enumerate(zip(content["detectors"], plots.COLORS, strict=False)):
            middles = [(bin_["from"] + bin_["to"]) / 2 for bin_ in entry["sides"]]
            if number == 0:
                aligned = [100 * bin_["aligned"] for bin_ in entry["sides"]]
                left.plot(middles, aligned, color="black", linestyle="--", marker="s", label="aligned 48x48")
            style = {"color": color, "marker": plots.MARKERS[number], "label": entry["name"]}
            left.plot(middles, [100 * bin_["scene"] for bin_ in entry["sides"]], **style)
            right.plot(middles, [100 * bin_["found"] for bin_ in entry["sides"]], **style)
        left.set(title="accuracy, misses counted as wrong", ylabel="%", xlabel="side of the picture, pixels")
        right.set(title="faces found by the loop", ylabel="%", xlabel="side of the picture, pixels")
        left.legend()
        right.legend()
