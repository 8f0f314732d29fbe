"""The calibration set: which pictures tell the quantizer how large activations get."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.preprocessing import unit_gray
from fer_train.datasets import Split

PICTURES = 500
"""More changed nothing that could be measured; fewer made the ranges depend on the draw."""


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """A seeded, stratified sample of a split.

    Attributes:
        images: uint8, (n, side, side).
        counts: pictures of each class, in label order.
        split: name of the split it was drawn from.
        seed: of the draw.
    """

    images: NDArray[np.uint8]
    counts: tuple[int, ...]
    split: str
    seed: int

    def representative_dataset(self) -> Iterator[list[NDArray[np.float32]]]:
        """Inputs (float32, (1, side, side, 1), [0, 1]), an all-black and an all-white one among them.

        These two pin the input's range to exactly [0, 1], hence its scale to 1/255 and its zero point
        to -128, whatever the sample holds.
        """
        side = self.images.shape[1]
        extremes = np.stack([np.zeros((side, side), np.uint8), np.full((side, side), 255, np.uint8)])
        for image in (*self.images, *extremes):
            yield [unit_gray(image)[None, ..., None]]

    def facts(self) -> dict[str, Any]:
        """What the model file says about it."""
        return {
            "split": self.split,
            "seed": self.seed,
            "pictures": len(self.images),
            "counts": list(self.counts),
            "sha256": hashlib.sha256(self.images.tobytes()).hexdigest(),
        }


def draw(split: Split, *, name: str, classes: int, seed: int, pictures: int = PICTURES) -> CalibrationSet:
    """Draw a calibration set in which every class has its share of `split` (and at least one picture).

    Args:
        split: not empty.
        name: the split's name, for the record.
        classes: number of labels.
        seed: the same seed draws the same pictures.
        pictures: how many in all, as nearly as the shares can be rounded.
    """
    rng = np.random.default_rng(seed)
    available = np.bincount(split.labels, minlength=classes)
    shares = np.rint(available * min(1.0, pictures / len(split))).astype(int)
    shares = np.minimum(np.maximum(shares, available > 0), available)
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(split.labels == label), count, replace=False) for label, count in enumerate(shares)]
    )
    return CalibrationSet(split.images[np.sort(rows)], tuple(int(n) for n in shares), name, seed)
