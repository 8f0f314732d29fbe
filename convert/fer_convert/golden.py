"""Golden inputs: drawn pictures whose outputs tell another runtime whether it computes the same.

They are synthetic, never from a data set. Of many seeded drawings those are kept that the network
labels clearly enough for rounding in other kernels not to turn them, and not so clearly that a
saturated softmax would hide a difference.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.model_file import GOLDEN_TOLERANCE_STEPS, Golden

COUNT = 6
CANDIDATES = 1024
GREY_LEVELS = 16
"""Levels a drawing may have: few, so that six of them deflate to about 2 kB."""

SAFE_LEAD = 2 * GOLDEN_TOLERANCE_STEPS / 256
"""Two probabilities may move towards each other by the tolerance each, and the label still stands."""

IDEAL_LEAD = 0.6


def make(
    classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]], *, side: int, seed: int, count: int = COUNT
) -> Golden:
    """Choose golden inputs for a network, of as many labels as its drawings get.

    Args:
        classify: from one picture (uint8, (side, side)) to probabilities (float32, (classes,)).
        side: width and height of the input in pixels.
        seed: the same seed and network give the same pictures.
        count: at most so many. Fewer, but at least one, where a badly trained network labels fewer
            drawings clearly.
    """
    rng = np.random.default_rng(seed)
    drawings = [(_face if number % 2 else _pattern)(rng, side) for number in range(CANDIDATES)]
    outputs = np.stack([classify(drawing) for drawing in drawings])
    ranked = np.sort(outputs, axis=1)
    leads = ranked[:, -1] - ranked[:, -2]
    safe = np.flatnonzero(leads > SAFE_LEAD)
    order = safe[np.argsort(np.abs(leads[safe] - IDEAL_LEAD), kind="stable")]
    tops = outputs[order].argmax(axis=1)
    turn = [int((tops[:place] == top).sum()) for place, top in enumerate(tops)]
    # The best drawing of each label first, then the second best of each.
    chosen = order[np.argsort(turn, kind="stable")][:count] if len(order) else leads.argmax(keepdims=True)
    return Golden(np.stack(drawings)[chosen], outputs[chosen])


def _pattern(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Blurred noise, from coarse blobs to almost a gradient."""
    cells = int(rng.integers(2, 7))
    noise = rng.random((cells, cells), np.float32) * 255
    return _posterized(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC))


def _face(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """A face such as a child draws it: an oval, two eyes, two brows, a mouth."""

    def about(value: float, spread: float) -> float:
        return float(value + rng.uniform(-spread, spread))

    def pixels(*values: float) -> tuple[int, ...]:
        return tuple(round(value * side) for value in values)

    ground, skin = about(90, 80), about(170, 60)
    canvas = np.full((side, side), ground, np.float32)
    cv2.ellipse(canvas, pixels(0.5, 0.5), pixels(about(0.42, 0.08), about(0.5, 0.08)), 0, 0, 360, skin, -1)
    feature, thick = skin * about(0.35, 0.3), max(1, side // 16)
    height, slope, opening = about(0.38, 0.05), about(0.0, 0.1), about(0.06, 0.05)
    for sign in (-1, 1):
        x = 0.5 + sign * about(0.19, 0.03)
        cv2.ellipse(canvas, pixels(x, height), pixels(0.08, opening), 0, 0, 360, feature, -1)
        brow = height - about(0.13, 0.05)
        inner, outer = pixels(x - sign * 0.1, brow + slope), pixels(x + sign * 0.1, brow - slope)
        cv2.line(canvas, inner, outer, feature, thick)
    mouth, curve, width = about(0.75, 0.06), about(0.0, 0.14), about(0.17, 0.07)
    begin, end = (0, 180) if curve > 0 else (180, 360)
    fill = -1 if rng.random() < 0.4 else thick
    cv2.ellipse(canvas, pixels(0.5, mouth), pixels(width, abs(curve)), 0, begin, end, feature, fill)
    return _posterized(cv2.GaussianBlur(canvas, (0, 0), side / 40))


def _posterized(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    step = 256 // GREY_LEVELS
    return ((np.clip(picture, 0, 255).astype(np.uint8) // step) * step + step // 2).astype(np.uint8)
