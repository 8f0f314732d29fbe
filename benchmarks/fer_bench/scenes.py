"""Training pictures as a camera would show them: large, somewhere in a 640x480 frame, a little in motion."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract import shipped
from fer_edge.contract.errors import ModelFileError
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.faces.tracking import overlap
from fer_edge.records import Box, Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier
from fer_train.datasets import Dataset, Split

WIDTH, HEIGHT = 640, 480
SIDES = (120, 300)
"""Smallest and largest side of a picture in the scene, pixels."""

FRAMES = 4
"""Frames a picture is shown: two until its face is reported, two more in which only windows are searched."""

FPS = 30.0
MOTION = 2.0
"""Fastest motion of a picture, pixels a frame, along each axis."""

SAME_FACE = 0.3
"""Intersection over union of a box and the picture above which the box is of the picture's face. Boxes are
tighter than pictures, so one of the usual 0.5 would count faces as missed that are framed well."""

BACKGROUND_SIGMA = 18.0
"""Standard deviation of the background, grey levels."""
BACKGROUND_CELLS = (5, 4)
BORDER_FADE = 0.06
"""Over this share of its side a picture's border goes over into the background, outside of the picture."""

NOISE_SIGMA = 2.0
"""Noise of the camera, grey levels."""
_NOISE_MEAN, _NOISE_MARGIN = 8, 64


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in its scene and how it moves.

    Attributes:
        side: of the picture, pixels.
        x, y: of its upper left corner in the last frame, pixels.
        dx, dy: motion, pixels a frame.
        roll: degrees counter-clockwise about the picture's centre.
        seed: of the background.
    """

    side: float
    x: float
    y: float
    dx: float
    dy: float
    roll: float
    seed: int

    def square(self, ahead: int = 0) -> Box:
        """The picture `ahead` frames after the last one, roll left aside: x, y, side, side in pixels."""
        return (self.x + ahead * self.dx, self.y + ahead * self.dy, self.side, self.side)


def placements(count: int, seed: int, *, roll: float = 0.0) -> list[Placement]:
    """Seeded placements, sides and positions uniform, the whole picture in every frame.

    Args:
        count: how many.
        seed: equal seeds give equal placements, and `count` only says how many of them.
        roll: largest roll to either side, degrees.
    """
    made = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        side, turn = rng.uniform(*SIDES), rng.uniform(-roll, roll)
        # A turned square reaches further, and so does one that moves.
        angle = math.radians(turn)
        reach = side * (abs(math.cos(angle)) + abs(math.sin(angle)) - 1) / 2 + MOTION * FRAMES
        x, y = rng.uniform(reach, WIDTH - side - reach), rng.uniform(reach, HEIGHT - side - reach)
        dx, dy = rng.uniform(-MOTION, MOTION, 2)
        made.append(Placement(side, x, y, dx, dy, turn, int(rng.integers(2**32))))
    return made


class Stage:
    """Draws scenes, every one from its placement alone."""

    def __init__(self) -> None:
        size = (HEIGHT + _NOISE_MARGIN, WIDTH + _NOISE_MARGIN)
        noise = np.random.default_rng(0).normal(_NOISE_MEAN, NOISE_SIGMA, size)
        self._noise = noise.clip(0, 255).astype(np.uint8)

    def frames(self, picture: NDArray[np.uint8], placement: Placement, start: float) -> list[Frame]:
        """The frames in which a picture is shown, at 30 a second.

        Args:
            picture: uint8, (side, side), grey levels.
            placement: where to.
            start: `captured` of the first frame, seconds.

        Returns:
            `FRAMES` frames with luma of 640x480.
        """
        wall = neutral_wall(float(picture.mean()), placement.seed)
        return [
            Frame(
                image=self.draw([(picture, placement)], wall, number + 1 - FRAMES),
                time=time.time(),
                captured=start + number / FPS,
                source="scene",
            )
            for number in range(FRAMES)
        ]

    def draw(
        self, shown: Sequence[tuple[NDArray[np.uint8], Placement]], wall: NDArray[np.float32], ahead: int
    ) -> NDArray[np.uint8]:
        """One frame.

        Args:
            shown: pictures (uint8, (side, side), grey levels) and where to.
            wall: behind them, float32, (480, 640), grey levels; left as it is.
            ahead: frames after the one that the placements are about.

        Returns:
            uint8, (480, 640), grey levels; a new array.
        """
        scene = wall.copy()
        for picture, placement in shown:
            _put(scene, picture, placement, ahead)
        seed = shown[0][1].seed
        drift = (seed + 37 * ahead) % _NOISE_MARGIN, (seed // 64 + 23 * ahead) % _NOISE_MARGIN
        noise = self._noise[drift[1] : drift[1] + HEIGHT, drift[0] : drift[0] + WIDTH]
        return cv2.addWeighted(scene.clip(0, 255).astype(np.uint8), 1.0, noise, 1.0, -_NOISE_MEAN).view(np.uint8)


def _put(scene: NDArray[np.float32], picture: NDArray[np.uint8], placement: Placement, ahead: int) -> None:
    x, y, side, _ = placement.square(ahead)
    centre = (x + side / 2, y + side / 2)
    angle = math.radians(placement.roll)
    reach = side * (0.5 + BORDER_FADE) * (abs(math.cos(angle)) + abs(math.sin(angle)))
    left, top = (max(0, math.floor(c - reach)) for c in centre)
    right, bottom = min(WIDTH, math.ceil(centre[0] + reach)), min(HEIGHT, math.ceil(centre[1] + reach))

    middle = (picture.shape[0] - 1) / 2
    affine = cv2.getRotationMatrix2D((middle, middle), placement.roll, side / picture.shape[0])
    affine[:, 2] += np.array((centre[0] - 0.5 - middle - left, centre[1] - 0.5 - middle - top))
    # The border's pixels are drawn on outwards: a hard edge is no part of a face, but detectors see it.
    shown = cv2.warpAffine(
        picture, affine, (right - left, bottom - top), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    across = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - centre[0])
    down = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - centre[1])
    outside = np.maximum(
        np.abs(math.cos(angle) * across - math.sin(angle) * down),
        np.abs(math.sin(angle) * across + math.cos(angle) * down),
    )
    weight = np.clip(1 - (outside - side / 2) / (BORDER_FADE * side), 0, 1)
    part = scene[top:bottom, left:right]
    part += weight * (shown - part)


def neutral_wall(mean: float, seed: int) -> NDArray[np.float32]:
    """A wall unevenly lit (float32, (480, 640), grey levels about `mean`): no face can be found in it."""
    columns, rows = BACKGROUND_CELLS
    cells = np.random.default_rng(seed).normal(mean, BACKGROUND_SIGMA, (rows, columns)).astype(np.float32)
    return cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).view(np.float32)


def facts(seed: int) -> dict[str, Any]:
    """What a result file says about the scenes."""
    return {"width": WIDTH, "height": HEIGHT, "sides": list(SIDES), "frames": FRAMES, "fps": FPS, "seed": seed}


def open_classifier(settings: Settings, data: Dataset) -> tuple[LiteRtClassifier, Path]:
    """The network that these settings name and its file, as far as it knows the labels of `data`.

    Raises:
        ModelFileError: it cannot be used, or has other labels.
    """
    path = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    require_labels(path, classifier, data)
    return classifier, path


def require_labels(path: Path, classifier: LiteRtClassifier, data: Dataset) -> None:
    """Refuse a network, read from `path`, that does not have the labels of `data`.

    Raises:
        ModelFileError: it has others.
    """
    if set(classifier.labels) != set(data.labels):
        raise ModelFileError(
            f"{path} knows {', '.join(classifier.labels)} where {data.source} has {', '.join(data.labels)}; "
            "measure it on the data it was made for"
        )


def best_match(boxes: Sequence[Box], truth: Box, least: float = SAME_FACE) -> int | None:
    """Index of the box that shares most with `truth`, or None where none shares `least` of their union."""
    shares = [overlap(box, truth) for box in boxes]
    if not shares or max(shares) < least:
        return None
    return shares.index(max(shares))


def sample(split: Split, limit: int | None, seed: int) -> Split:
    """A seeded sample of at most `limit` pictures in which each class has its share; all where it is None."""
    if limit is None or limit >= len(split):
        return split
    rng = np.random.default_rng(seed)
    # Within its class each picture has a random rank; the lowest relative ranks are taken.
    rank = np.empty(len(split))
    for label in np.unique(split.labels):
        rows = np.flatnonzero(split.labels == label)
        rank[rows] = (rng.permutation(len(rows)) + rng.uniform()) / len(rows)
    return split.take(np.sort(np.argsort(rank, kind="stable")[:limit]))
