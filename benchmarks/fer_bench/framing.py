"""Where training pictures lie relative to a detector's boxes: the constants of its `Framing`, from data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, scenes
from fer_bench.accuracy import classify, data_facts
from fer_bench.environment import model_facts
from fer_bench.pipeline import detector_facts
from fer_bench.scene import APART_S, paired
from fer_bench.scenes import Placement, Stage
from fer_edge.contract.errors import DataError
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.faces.framing import crop_gray
from fer_edge.records import Box, Detection, Frame, Framing
from fer_edge.seams import FaceDetector
from fer_edge.service.config import Settings
from fer_edge.service.run import make_detector
from fer_train.datasets import Dataset, Split

SCALES = tuple(round(0.82 + 0.03 * n, 2) for n in range(14))
RISES = (-0.04, -0.02, 0.0, 0.02, 0.04)
"""What is tried: sides of the crop over the box's, and its rise in box heights."""

TURNED = 30.0
"""Largest roll in the scenes that ask whether roll correction pays, degrees."""
QUARTILES = (25, 50, 75)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A picture in the last frame of its scene, and where the detector saw its face."""

    row: int
    frame: Frame
    placement: Placement
    detection: Detection


def measure(
    data: Dataset, name: str, runs: Sequence[Settings], *, limit: int | None, seed: int,
    on_picture: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Show pictures in scenes and compare the detectors' boxes with where the pictures are.

    Args:
        data: the data set.
        name: of the split; Training, if the constants are to be tested on another one.
        runs: settings of fer-edge with one detector each and the same model.
        limit: at most so many pictures, a stratified sample; None takes all.
        seed: of sample and scenes.
        on_picture: called with the number of pictures since the last call, at most `2 * len(runs)` times all of them.

    Returns:
        The content of a framing result.

    Raises:
        DataError: there is no such split, or a detector finds no face in it.
        DetectorError: a detector cannot be loaded.
        ModelFileError: the model cannot be used, or its labels are not the data's.
    """
    split = scenes.sample(data.split(name), limit, seed)
    classifier, model = scenes.open_classifier(runs[0], data)
    aligned = classify(classifier, split, data.labels, lambda _: None).argmax(axis=1) == split.labels
    truth = np.array([classifier.labels.index(data.labels[label]) for label in split.labels])
    return {
        "threads": {"classifier": runs[0].threads, "opencv": runs[0].threads},
        "data": data_facts(data, name, split),
        "models": [model_facts(model, classifier.model)],
        "scene": scenes.facts(seed),
        "scales": list(SCALES),
        "rises": list(RISES),
        "detectors": [_detector(run, classifier, split, truth, aligned, seed, on_picture) for run in runs],
    }


def sightings(
    detector: FaceDetector, split: Split, placements: Sequence[Placement], on_picture: Callable[[int], None]
) -> Iterator[Sighting]:
    """Every face that is found in each frame of its scene, as the loop would: a scan first, then windows."""
    stage = Stage()
    for row, placement in enumerate(placements):
        expected: list[Detection] = []
        frames = stage.frames(split.images[row], placement, row * APART_S)
        for number, frame in enumerate(frames):
            found = detector.detect(frame, expected)
            match = scenes.best_match(
                [detection.box for detection in found], placement.square(number + 1 - len(frames))
            )
            if match is None:
                break
            newest = found[match]
            expected = [newest]
        else:
            yield Sighting(row, frames[-1], placement, newest)
        on_picture(1)


def _detector(
    settings: Settings, classifier: LiteRtClassifier, split: Split, truth: NDArray[np.int64],
    aligned: NDArray[np.bool_], seed: int, on_picture: Callable[[int], None],
) -> dict[str, Any]:  # fmt: skip
    detector = make_detector(settings)
    grid = [Framing(scale, rise) for scale in SCALES for rise in RISES]
    rows: list[int] = []
    hits, losses, present, offsets, eyes, upright = [], [], [], [], [], []
    for seen in sightings(detector, split, scenes.placements(len(split), seed), on_picture):
        true = truth[seen.row]
        made = np.stack([_classified(classifier, seen, framing) for framing in (detector.framing, *grid)])
        right = made.argmax(axis=1) == true
        rows.append(seen.row)
        present.append(right[0])
        hits.append(right[1:])
        # int8 probabilities can be 0; half a quantization step stands for it.
        losses.append(-np.log(np.maximum(made[1:, true], 1 / 512)))
        offsets.append(offset(seen.detection.box, seen.placement.square()))
        if seen.detection.eyes is not None:
            eyes.append(eyes_in_picture(seen.detection.eyes, seen.placement.square()))
            upright.append(_classified(classifier, seen, detector.framing, level=True).argmax() == true)
    if not rows:
        raise DataError(f"{detector.name} finds no face in the pictures; give more of them with --limit")
    shape = (len(SCALES), len(RISES))
    accuracy = np.mean(hits, axis=0).reshape(shape)
    loss = np.mean(losses, axis=0).reshape(shape)
    best = best_cell(loss)
    there = np.array(hits)[:, np.ravel_multi_index(best, shape)]
    quartiles = np.percentile(offsets, QUARTILES, axis=0).T
    return {
        **detector_facts(detector.name),
        "found": round(len(rows) / len(split), 6),
        "aligned": round(float(aligned[rows].mean()), 6),
        "present": {"scale": detector.framing.scale, "rise": detector.framing.rise,
                    "accuracy": round(float(np.mean(present)), 6)},
        "best": {"scale": SCALES[best[0]], "rise": RISES[best[1]], "accuracy": round(float(accuracy[best]), 6),
                 "versus_present": paired(np.array(present), there)},
        **{key: _quartiles(values) for key, values in zip(("side_over_box", "rise", "shift"), quartiles, strict=True)},
        "accuracy": accuracy.round(6).tolist(),
        "log_loss": loss.round(6).tolist(),
        "eyes": _eye_figures(np.array(eyes)) if eyes else None,
        "roll": _roll_figures(detector, classifier, split, truth, seed, np.array(present), np.array(upright),
                              on_picture) if eyes else None,
    }  # fmt: skip


def _roll_figures(
    detector: FaceDetector, classifier: LiteRtClassifier, split: Split, truth: NDArray[np.int64], seed: int,
    present: NDArray[np.bool_], upright: NDArray[np.bool_], on_picture: Callable[[int], None],
) -> dict[str, Any]:  # fmt: skip
    """What turning the crop upright by the eyes changes, on pictures as they are and on turned ones."""
    plain, level, turns = [], [], []
    for seen in sightings(detector, split, scenes.placements(len(split), seed, roll=TURNED), on_picture):
        true = truth[seen.row]
        if seen.detection.eyes is not None:
            # A placement's roll is counter-clockwise, that of eyes clockwise.
            turns.append((-seen.placement.roll, roll_degrees(seen.detection.eyes)))
        plain.append(_classified(classifier, seen, detector.framing).argmax() == true)
        level.append(_classified(classifier, seen, detector.framing, level=True).argmax() == true)
    turned = paired(np.array(plain), np.array(level)) if plain else None
    return {
        "as_they_are": paired(present, upright),
        "turned_by_degrees": TURNED,
        "turned": turned,
        "seen": _seen(np.array(turns)) if len(turns) > 1 else None,
    }


def _seen(turns: NDArray[np.float64]) -> dict[str, float]:
    """How much of a picture's roll the eyes tell: regression of theirs (column 1) on the picture's (0), degrees."""
    slope, _ = np.polyfit(turns[:, 0], turns[:, 1], 1)
    return {"slope": round(float(slope), 4), "correlation": round(float(np.corrcoef(turns.T)[0, 1]), 4)}


def _classified(
    classifier: LiteRtClassifier, seen: Sighting, framing: Framing, *, level: bool = False
) -> NDArray[np.float32]:
    square = framing.square(seen.detection.box)
    if level and seen.detection.eyes is not None:
        return classifier.classify(level_crop(seen.frame.image, square, seen.detection.eyes, classifier.side))
    return classifier.classify(crop_gray(seen.frame.image, square, classifier.side))


def level_crop(
    image: NDArray[np.uint8], square: Box, eyes: tuple[tuple[float, float], tuple[float, float]], side: int
) -> NDArray[np.uint8]:
    """The square turned about its centre until the eyes are level: uint8, (side, side), grey levels."""
    x, y, extent, _ = square
    # Cut large enough to be turned, at twice the resolution, then shrunk by area.
    wide = crop_gray(image, (x - extent / 2, y - extent / 2, 2 * extent, 2 * extent), 4 * side)
    middle = (4 * side - 1) / 2
    affine = cv2.getRotationMatrix2D((middle, middle), roll_degrees(eyes), 1.0)
    affine[:, 2] -= side
    turned = cv2.warpAffine(wide, affine, (2 * side, 2 * side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(turned, (side, side), interpolation=cv2.INTER_AREA).view(np.uint8)


def roll_degrees(eyes: tuple[tuple[float, float], tuple[float, float]]) -> float:
    """Angle of the line through the eyes, degrees, positive where the right one in the picture is lower."""
    (x0, y0), (x1, y1) = eyes
    return math.degrees(math.atan2(y1 - y0, x1 - x0))


def offset(box: Box, picture: Box) -> tuple[float, float, float]:
    """Side of the picture over the box's, its rise in box heights, its shift to the right in box widths.

    The first two are `Framing`'s: with them, `Framing.square(box)` is the picture.
    """
    x, y, width, height = box
    left, top, side, _ = picture
    rise = ((y + height / 2) - (top + side / 2)) / height
    return side / (width * height) ** 0.5, rise, ((left + side / 2) - (x + width / 2)) / width


def eyes_in_picture(
    eyes: tuple[tuple[float, float], tuple[float, float]], picture: Box
) -> tuple[float, float, float, float, float]:
    """x and y of both eyes as shares of the picture's side, and their roll in degrees."""
    left, top, side, _ = picture
    (x0, y0), (x1, y1) = eyes
    return (x0 - left) / side, (y0 - top) / side, (x1 - left) / side, (y1 - top) / side, roll_degrees(eyes)


def best_cell(loss: NDArray[np.float64]) -> tuple[int, int]:
    """Row and column of the lowest value once every cell is averaged with its neighbours.

    Log loss tells framings apart that accuracy on so many pictures does not; one cell is noise all the same.
    """
    smooth = cv2.blur(loss, (3, 3), borderType=cv2.BORDER_REPLICATE)
    row, column = np.unravel_index(int(smooth.argmin()), smooth.shape)
    return int(row), int(column)


def _eye_figures(eyes: NDArray[np.float64]) -> dict[str, Any]:
    values = np.percentile(eyes, QUARTILES, axis=0).T
    keys = ("left_x", "left_y", "right_x", "right_y", "roll_degrees")
    return {key: _quartiles(row) for key, row in zip(keys, values, strict=True)}


def _quartiles(values: NDArray[np.float64]) -> dict[str, float]:
    return {f"p{p}": round(float(value), 4) for p, value in zip(QUARTILES, values, strict=True)}


def table(content: dict[str, Any]) -> str:
    """A framing result as lines for a terminal."""
    data = content["data"]
    lines = [f"{data['split']} of {data['file']}: {data['pictures']} pictures; {content['models'][0]['name']}"]
    for entry in content["detectors"]:
        present, best = entry["present"], entry["best"]
        lines += [
            "",
            f"{entry['name']}: found {100 * entry['found']:.1f} %, aligned {100 * entry['aligned']:.2f} %",
            *(
                f"  {title:<42}{entry[key]['p50']:+.3f}  ({entry[key]['p25']:+.3f} to {entry[key]['p75']:+.3f})"
                for key, title in OFFSETS.items()
            ),
            f"  accuracy with the present framing           {100 * present['accuracy']:.2f} %, "
            f"scale {present['scale']:.2f}, rise {present['rise']:.3f}",
            f"  accuracy with the best framing              {100 * best['accuracy']:.2f} %, "
            f"scale {best['scale']:.2f}, rise {best['rise']:.3f}",
            f"  the second against the first                {_change(best['versus_present'])}",
        ]
        for key, title in (("as_they_are", "as they are"), ("turned", f"turned by up to {TURNED:.0f} degrees")):
            figures = entry["roll"] and entry["roll"][key]
            if figures:
                shares = f"{100 * figures['before']:.2f} -> {100 * figures['after']:.2f} %"
                lines.append(f"  roll correction, pictures {title}: {shares}, {_change(figures)}")
        if entry["roll"] and (seen := entry["roll"]["seen"]):
            told = f"{seen['slope']:.2f} of it (correlation {seen['correlation']:.2f})"
            lines.append(f"  of the roll of turned pictures the eyes tell    {told}")
    return "\n".join(lines)


def _change(figures: dict[str, Any]) -> str:
    low, high = figures["change_points_95"]
    return f"{figures['change_points']:+.2f} points ({low:+.2f} to {high:+.2f})"


OFFSETS = {
    "side_over_box": "side of the picture over the box's (quartiles)",
    "rise": "rise, box heights",
    "shift": "shift to the right, box widths",
}
"""Keys of what was measured of the boxes, and how people read them."""


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw accuracy over the crop's scale, one panel a detector, one line a rise."""
    entries = content["detectors"]
    with plots.drawing(target, 4.8 * len(entries), 4.2, "Accuracy over the crop's framing") as figure:
        for axes, entry in zip(figure.subplots(1, len(entries), sharey=True, squeeze=False)[0], entries, strict=True):
            for number, rise in enumerate(content["rises"]):
                values = [100 * row[number] for row in entry["accuracy"]]
                axes.plot(content["scales"], values, color=plots.COLORS[number % 5], marker=plots.MARKERS[number % 5],
                          markersize=4, label=f"rise {rise:+.2f} of the box")  # fmt: skip
            axes.axhline(100 * entry["aligned"], color="black", linestyle="--", label="aligned pictures")
            axes.axvline(entry["side_over_box"]["p50"], color=plots.GREY, label="median of the boxes")
            axes.set(title=entry["name"], xlabel="side of the crop over that of the box", ylabel="accuracy, %")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
