"""What a network looks at: how much less sure it is of the truth where a patch of the picture is covered.

Occlusion sensitivity: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014,
arXiv:1311.2901, section 4.2. It needs no gradients, so it is the same on every backend and for every network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Classify = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""Probabilities (float, (n, classes)) of pictures (uint8, (n, side, side))."""

BATCH = 1024
"""Covered pictures that are classified at once."""


def occlusion(
    classify: Classify, images: NDArray[np.uint8], labels: NDArray[np.integer], *, patch: int, stride: int
) -> NDArray[np.float32]:
    """How much each pixel matters for the probability of the given class.

    A square patch of the picture's mean level moves over it; the loss of probability at each place is
    spread over the pixels that it covers, and their mean over all places that cover them is taken.

    Args:
        classify: the network.
        images: uint8, (n, side, side).
        labels: int, (n,), the class whose probability is watched, for each picture.
        patch: side of the patch in pixels, at most the picture's.
        stride: pixels between two places of it, 1 to `patch`.

    Returns:
        float32, (n, side, side), in -1..1: the probability that is lost where the pixel is covered;
        negative where covering it helps.
    """
    count, side = images.shape[:2]
    if not 0 < patch <= side or not 0 < stride <= patch:
        raise ValueError(f"patch {patch} and stride {stride} must be 1..{side} and 1..patch")
    # The last place ends at the border, whatever the stride.
    starts = sorted({*range(0, side - patch, stride), side - patch})
    places = [(top, left) for top in starts for left in starts]
    rows = np.arange(count)
    before = classify(images)[rows, labels]
    means = np.rint(images.mean(axis=(1, 2))).astype(np.uint8)
    lost = np.zeros((count, side, side), np.float32)
    covered_by = np.zeros((side, side), np.float32)
    together = max(1, BATCH // count)
    for first in range(0, len(places), together):
        some = places[first : first + together]
        covered = np.repeat(images[None], len(some), axis=0)
        for picture, (top, left) in zip(covered, some, strict=True):
            picture[:, top : top + patch, left : left + patch] = means[:, None, None]
        found = classify(covered.reshape(-1, side, side)).reshape(len(some), count, -1)
        for probabilities, (top, left) in zip(found, some, strict=True):
            area = (slice(None), slice(top, top + patch), slice(left, left + patch))
            lost[area] += (before - probabilities[rows, labels])[:, None, None]
            covered_by[area[1:]] += 1
    return lost / covered_by
