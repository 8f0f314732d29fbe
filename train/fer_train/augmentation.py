"""Random views of a face: turned, moved, zoomed, mirrored, lit differently, and seen by a worse camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BEST_JPEG = 95
"""Quality of a camera's own JPEG; from there on nothing is seen of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far each random change may go; 0 turns it off. All draws are uniform and symmetric.

    Attributes:
        rotation_degrees: largest turn about the picture's centre.
        shift: largest move along each axis, as a fraction of the side.
        zoom: largest relative change of size (0.1 is 0.9 to 1.1).
        shear: largest slant of the vertical edges, as a tangent (0.1 moves the top edge by a tenth of
            the side against the bottom edge).
        flip: mirror half of the pictures.
        contrast: largest relative change of contrast about the mid level.
        brightness: largest change of the level, as a fraction of 255.
        erasing: share of the pictures in which a rectangle of 2 to 20 % of the area is filled with one
            random level (Zhong et al., "Random Erasing Data Augmentation", 2020, arXiv:1708.04896).
        darkness: share of the light that half of the pictures lose at most.
        blur: standard deviation in pixels of the strongest Gaussian blur, which half of them get.
        jpeg: lowest quality, of 100, at which half of them are compressed as JPEG; 0 compresses none.
    """

    rotation_degrees: float = 10.0
    shift: float = 0.1
    zoom: float = 0.1
    shear: float = 0.0
    flip: bool = True
    contrast: float = 0.0
    brightness: float = 0.0
    erasing: float = 0.0
    darkness: float = 0.0
    blur: float = 0.0
    jpeg: int = 0

    def __call__(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return changed copies of `images` (uint8, (n, height, width)); uncovered pixels repeat the edge."""
        count, height, width = images.shape

        def draw(limit: float) -> NDArray[np.float64]:
            return rng.uniform(-limit, limit, count)

        angles = draw(self.rotation_degrees)
        moves = np.stack([draw(self.shift) * width, draw(self.shift) * height], axis=1)
        scales = 1.0 + draw(self.zoom)
        mirrored = rng.random(count) < (0.5 if self.flip else 0.0)
        gains = 1.0 + draw(self.contrast)
        offsets = draw(self.brightness) * 255.0
        # Drawn only where asked for, so that recipes without it keep their stream of draws.
        slants = draw(self.shear) if self.shear else np.zeros(count)
        centre = ((width - 1) / 2, (height - 1) / 2)
        changed = np.empty_like(images)
        for i, image in enumerate(images):
            matrix = cv2.getRotationMatrix2D(centre, angles[i], scales[i])
            # Slant about the centre first, then the rest.
            matrix[:, 1] += slants[i] * matrix[:, 0]
            matrix[:, 2] -= slants[i] * centre[1] * matrix[:, 0]
            if mirrored[i]:
                matrix[:, 0] *= -1
                matrix[:, 2] += -matrix[:, 0] * (width - 1)
            matrix[:, 2] += moves[i]
            cv2.warpAffine(
                image, matrix, (width, height), dst=changed[i],
                flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        if self.contrast or self.brightness:
            levels = (changed - 127.5) * gains[:, None, None] + (127.5 + offsets[:, None, None])
            np.clip(np.rint(levels), 0, 255, out=levels)
            changed = levels.astype(np.uint8)
        # Drawn last and only where asked for, so that recipes without it keep their stream of draws.
        if self.erasing:
            for i in np.flatnonzero(rng.random(count) < self.erasing):
                _erase(changed[i], rng)
        return changed

    def worsen(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """`images` (uint8, (n, height, width)) as a camera with little light, out of focus, and its codec give them.

        Apart from the views, because a teacher should see what the pupil has to make out.
        """
        if not (self.darkness or self.blur or self.jpeg):
            return images
        worse = images.copy()
        dark, blurred, compressed = rng.random((3, len(images))) < 0.5
        gains = 1.0 - rng.uniform(0.0, self.darkness, len(images))
        sigmas = rng.uniform(0.0, self.blur, len(images))
        qualities = rng.integers(self.jpeg, max(self.jpeg, BEST_JPEG) + 1, len(images))
        for i, image in enumerate(worse):
            if self.blur and blurred[i]:
                cv2.GaussianBlur(image, (0, 0), max(sigmas[i], 0.1), dst=image)
            if self.darkness and dark[i]:
                cv2.convertScaleAbs(image, image, gains[i])
            if self.jpeg and compressed[i]:
                _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(qualities[i])])
                image[:] = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return worse


def _erase(image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = image.shape
    area, aspect = rng.uniform(0.02, 0.2), np.exp(rng.uniform(-1.0, 1.0))
    h = min(height, round(height * float(np.sqrt(area * aspect))))
    w = min(width, round(width * float(np.sqrt(area / aspect))))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    image[top : top + h, left : left + w] = rng.integers(0, 256)
