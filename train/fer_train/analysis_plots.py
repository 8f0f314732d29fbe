"""Pictures of what a network has learnt: its first filters, its activations, and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_train.datasets import Split
from fer_train.plots import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MAX_COLUMNS = 16
SIGNED, UNSIGNED = "PuOr", "cividis"
"""Both can be told apart by colour-blind people: orange to purple about zero, and dark to bright from zero."""


def filter_sheet(
    path: Path, filters: NDArray[np.float32], shown: Split, maps: NDArray[np.float32] | None,
    *, labels: Sequence[str], title: str,
) -> None:  # fmt: skip
    """Draw filters, and below each what it makes of every picture.

    Args:
        path: PNG to write.
        filters: float32, (filters, height, width); the first 16 are drawn.
        shown: n pictures and their labels.
        maps: float32, (n, height, width, filters), or None where there is nothing to be drawn of it.
        labels: names of the classes.
        title: above the sheet.
    """
    columns = min(len(filters), MAX_COLUMNS)
    rows = 1 if maps is None else 1 + len(shown)
    extra = 0 if maps is None else 1
    with drawing(path, 1.0 * (columns + extra) + 1.0, 1.05 * rows + 0.9, title) as figure:
        cells = figure.subplots(rows, columns + extra, squeeze=False)
        limit = float(np.abs(filters).max()) or 1.0
        for column in range(columns):
            image = _map(cells[0, column + extra], filters[column], SIGNED, -limit, limit)
            cells[0, column + extra].set_title(
                labels[column] if maps is None and len(filters) == len(labels) else str(column + 1)
            )
        figure.colorbar(image, ax=list(cells[0]), fraction=0.02, pad=0.01, label="weight")
        if maps is None:
            return
        cells[0, 0].set_axis_off()
        bound = float(np.percentile(np.abs(maps), 99.5)) or 1.0
        for row in range(len(shown)):
            _map(cells[row + 1, 0], shown.images[row], "gray", 0, 255)
            cells[row + 1, 0].set_ylabel(labels[shown.labels[row]])
            for column in range(columns):
                image = _map(cells[row + 1, column + 1], maps[row, :, :, column], SIGNED, -bound, bound)
        figure.colorbar(image, ax=list(cells[1:].ravel()), fraction=0.02, pad=0.01, label="output of the filter above")


def activation_sheet(
    path: Path, picture: NDArray[np.uint8], stages: Mapping[str, NDArray[np.float32]], *, title: str
) -> None:
    """Draw one picture and the channels of every stage that it excites the most, each stage to its own scale.

    Args:
        path: PNG to write.
        picture: uint8, (side, side).
        stages: float32, (1, height, width, channels), by layer; at least one.
        title: above the sheet.
    """
    columns = 12
    with drawing(path, 0.85 * (columns + 1) + 1.2, 1.0 * len(stages) + 0.7, title) as figure:
        cells = figure.subplots(len(stages), columns + 1, squeeze=False)
        for axes in cells.ravel():
            axes.set_axis_off()
        _map(cells[0, 0], picture, "gray", 0, 255)
        for row, (name, values) in enumerate(stages.items()):
            found = values[0]
            order = np.argsort(-found.std(axis=(0, 1)), kind="stable")[:columns]
            top = float(np.abs(found[..., order]).max()) or 1.0
            signed = bool((found < 0).any())
            for column, channel in enumerate(order):
                low = -top if signed else 0.0
                _map(cells[row, column + 1], found[..., channel], SIGNED if signed else UNSIGNED, low, top)
            height, width, channels = found.shape
            cells[row, 1].set_title(f"{name}: {channels} channels of {width}x{height}", loc="left", fontsize=8)
        figure.supxlabel("the channels that vary the most, each row to its own scale", fontsize=9)


def saliency_sheet(path: Path, split: Split, lost: NDArray[np.float32], *, labels: Sequence[str], title: str) -> None:
    """Draw, for each class, the mean over its pictures and three of them under what covering costs.

    Args:
        path: PNG to write.
        split: n pictures and their labels.
        lost: float32, (n, side, side), of `saliency.occlusion`.
        labels: names of the classes.
        title: above the sheet.
    """
    groups = [rows for label in range(len(labels)) if len(rows := np.flatnonzero(split.labels == label))]
    means = [lost[rows].mean(axis=0) for rows in groups]
    limit = max(float(np.abs(mean).max()) for mean in means) or 1.0
    with drawing(path, 1.55 * len(groups) + 1.2, 7.2, title) as figure:
        cells = figure.subplots(4, len(groups), squeeze=False)
        for column, (rows, mean) in enumerate(zip(groups, means, strict=True)):
            axes = cells[0, column]
            axes.set_title(f"{labels[split.labels[rows[0]]]}\n{len(rows)} pictures")
            image = _over(axes, split.images[rows].mean(axis=0), mean, limit)
            for place, axes in enumerate(cells[1:, column]):
                if place < len(rows):
                    row = rows[place]
                    _over(axes, split.images[row], lost[row], float(np.abs(lost[row]).max()) or 1.0)
                else:
                    axes.set_axis_off()
        cells[0, 0].set_ylabel("mean")
        cells[2, 0].set_ylabel("single pictures,\neach to its own scale")
        bar = figure.colorbar(image, ax=list(cells[0]), fraction=0.02, pad=0.01, label="probability lost, mean")
        bar.solids.set_alpha(1.0)


def _map(axes: Axes, values: NDArray[Any], colours: str, low: float, high: float) -> AxesImage:
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def _over(axes: Axes, picture: NDArray[Any], values: NDArray[np.float32], limit: float) -> AxesImage:
    _map(axes, picture, "gray", 0, 255)
    return axes.imshow(values, cmap=f"{SIGNED}_r", vmin=-limit, vmax=limit, alpha=0.6, interpolation="bilinear")
