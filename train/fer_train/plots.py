"""Pictures of a run: curves, class distribution, confusion matrix, reliability, augmentation, predictions, mistakes.

Colours are Okabe and Ito's and matplotlib's cividis, which colour-blind people tell apart too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.colours import BLUE, GREEN, GREY, ORANGE, VERMILION
from fer_edge.contract.errors import MissingExtraError
from fer_edge.contract.files import replacing
from fer_train.augmentation import Augmentation
from fer_train.datasets import Dataset, Split
from fer_train.evaluation import ECE_BINS, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Target = Path | BinaryIO
"""A file to replace, or a stream to write into."""

_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 12,
}


@contextlib.contextmanager
def drawing(target: Target, width: float, height: float, title: str) -> Iterator[Figure]:
    """Yield an empty figure (inches) with a title; write it as PNG, a file atomically.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing the plots of a run", "train") from error
    # Without the version in its metadata the same run gives the same bytes.
    form = {"format": "png", "dpi": 130, "metadata": {"Software": None}}
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title)
        yield figure
        if isinstance(target, Path):
            with replacing(target) as temporary:
                figure.savefig(temporary, **form)
        else:
            figure.savefig(target, **form)


def curves(
    target: Target, history: Sequence[Mapping[str, float]], title: str, *, best: int | None, accuracy: float
) -> None:
    """Draw loss, accuracy and learning rate over the epochs.

    Args:
        target: where to.
        history: the rows of `history.csv`, 1 or more.
        title: above it.
        best: the epoch whose weights are `best.keras`; None where these are a mean of the first and the last.
        accuracy: of `best.keras`, 0..1.
    """
    epochs = [row["epoch"] for row in history]
    column = {key: np.array([row[key] for row in history]) for key in history[0]}
    marked = int(epochs[-1] if best is None else best)
    with drawing(target, 9, 6, title) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
        right, loss = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
        rate = figure.add_subplot(grid[1, :])
        marker = "." if len(epochs) < 30 else None
        for axes, key, scale in ((right, "accuracy", 100.0), (loss, "loss", 1.0)):
            axes.plot(epochs, scale * column[key], color=BLUE, marker=marker, label="training (augmented)")
            axes.plot(epochs, scale * column[f"val_{key}"], color=ORANGE, marker=marker, label="validation")
            axes.axvline(marked, color=GREY, linewidth=1, linestyle=":", zorder=0)
            axes.grid(axis="y", alpha=0.3)
            axes.set_xlabel("epoch")
        right.set_title("accuracy, %")
        loss.set_title("loss")
        which = "mean of start and end" if best is None else f"epoch {best}"
        right.plot(
            marked, 100 * accuracy, "o", markersize=8, markerfacecolor="none", color=VERMILION,
            label=f"best.keras: {100 * accuracy:.2f} %, {which}",
        )  # fmt: skip
        right.legend(loc="lower right" if len(epochs) > 1 else "center left")
        rate.plot(epochs, column["learning_rate"], color=GREEN, marker=marker)
        rate.set_title("learning rate at the end of the epoch")
        rate.set_xlabel("epoch")
        rate.set_ylim(bottom=0)
        rate.grid(axis="y", alpha=0.3)
        for axes in (right, loss, rate):
            axes.xaxis.get_major_locator().set_params(integer=True)
            if len(epochs) == 1:
                axes.set_xticks(epochs)


def class_distribution(target: Target, data: Dataset) -> None:
    """Draw how many pictures of each class each split holds."""
    counts = data.counts()
    with drawing(target, 9, 1.2 + 1.9 * len(counts), f"Pictures of each class in {data.name}") as figure:
        for axes, (name, numbers) in zip(np.atleast_1d(figure.subplots(len(counts), 1)), counts.items(), strict=True):
            bars = axes.bar(data.labels, numbers, color=BLUE, width=0.7)
            total = sum(numbers)
            axes.bar_label(bars, [f"{n:,}\n{100 * n / total:.1f} %" for n in numbers], fontsize=8, padding=2)
            axes.set_title(f"{name}: {total:,} pictures", loc="left")
            axes.set_ylim(0, 1.3 * max(numbers))
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)


def confusion_matrix(target: Target, evaluation: Evaluation, title: str) -> None:
    """Draw the confusion matrix, counts beside shares of each true class; rows are the truth."""
    counts = evaluation.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing(target, 12, 5.6, title) as figure:
        left, right = figure.subplots(1, 2)
        for axes, values, texts, name in (
            (left, counts, [[f"{n:,}" for n in row] for row in counts], "pictures"),
            (right, 100 * shares, [[f"{100 * s:.0f}" for s in row] for row in shares], "% of the true class"),
        ):
            image = axes.imshow(values, cmap="cividis", vmin=0, vmax=100 if axes is right else None)
            figure.colorbar(image, ax=axes, fraction=0.046)
            axes.set_title(name)
            for i, row in enumerate(texts):
                for j, text in enumerate(row):
                    dark = image.norm(values[i, j]) < 0.55
                    axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
            ticks = range(len(evaluation.labels))
            axes.set_xticks(ticks, evaluation.labels, rotation=35, ha="right", rotation_mode="anchor")
            axes.set_yticks(ticks, evaluation.labels)
            axes.set_xlabel("predicted")
            axes.set_ylabel("truth")


def reliability(target: Target, evaluations: Mapping[str, Evaluation], title: str) -> None:
    """Draw reliability diagrams of one or two networks, and how their confidences are spread (Guo et al. 2017)."""
    with drawing(target, 6.4, 6.0, title) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="as right as it is sure")
        width = 100 / ECE_BINS
        for number, (name, evaluation) in enumerate(evaluations.items()):
            color, marker = ((BLUE, "o"), (VERMILION, "^"))[number]
            count, confidence, accuracy = evaluation.reliability.T
            some = count > 0
            upper.plot(
                100 * confidence[some], 100 * accuracy[some], color=color, marker=marker,
                label=f"{name}: expected calibration error {100 * evaluation.ece:.1f} %",
            )  # fmt: skip
            share = width / len(evaluations)
            lower.bar(
                width * np.arange(ECE_BINS) + share * number, 100 * count / evaluation.count, width=0.9 * share,
                align="edge", color=color,
            )  # fmt: skip
        upper.set(ylabel="right, %", xlim=(0, 100), ylim=(0, 100))
        upper.legend(loc="upper left")
        upper.grid(alpha=0.3)
        lower.set(xlabel="confidence of the predicted class, %", ylabel="pictures, %")


def picture_sheet(target: Target, images: NDArray[np.uint8], texts: Sequence[str], title: str) -> None:
    """Draw pictures (uint8, (n, h, w), n at least 1) in rows of eight, each with up to four lines of text below."""
    rows = -(-len(images) // 8)
    with drawing(target, 11, 2.05 * rows + 0.5, title) as figure:
        cells = figure.subplots(rows, 8, squeeze=False).ravel()
        for axes in cells[len(images) :]:
            axes.set_axis_off()
        for axes, image, text in zip(cells, images, texts, strict=False):
            _show(axes, image)
            # A file's name may hold dollar signs, which are no formula.
            axes.set_xlabel(text, fontsize=7.5, parse_math=False)


def augmentation_sheet(
    target: Target, split: Split, labels: Sequence[str], *, augmentation: Augmentation, seed: int, views: int = 9
) -> None:
    """Draw one picture of each class and `views` augmented views of it, as the network sees them."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(members) for k in range(len(labels)) if len(members := np.flatnonzero(split.labels == k))]
    height, width = split.images.shape[1:]
    gap = 4
    sheet = np.full((len(rows) * (height + gap), (views + 1) * (width + gap)), 255, np.uint8)
    for i, row in enumerate(rows):
        original = split.images[row]
        changed = augmentation.worsen(augmentation(np.repeat(original[None], views, axis=0), rng), rng)
        for j, image in enumerate((original, *changed)):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = image
    with drawing(
        target, 0.9 * (views + 1) + 0.6, 0.9 * len(rows) + 0.5, "Training pictures and augmented views"
    ) as figure:
        axes = figure.subplots()
        _show(axes, sheet)
        axes.set_yticks(
            [i * (height + gap) + height / 2 for i in range(len(rows))], [labels[split.labels[r]] for r in rows]
        )
        axes.set_xticks([width / 2, (width + gap) * (views + 1) / 2 + width / 2], ["original", "augmented"])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)


def prediction_sheet(
    target: Target, split: Split, labels: Sequence[str], *, probabilities: NDArray[np.floating], title: str, seed: int
) -> None:
    """Draw pictures of each true class, one classified rightly above one classified wrongly, drawn at random.

    Args:
        target: PNG to write.
        split: pictures and their labels, n of them.
        labels: names of the classes.
        probabilities: float, (n, classes), 0..1.
        title: above the sheet.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    predicted = probabilities.argmax(axis=1)
    with drawing(target, 1.75 * len(labels) + 0.7, 7.6, title) as figure:
        cells = figure.subplots(4, len(labels), squeeze=False, height_ratios=(1.1, 1, 1.1, 1))
        for column, label in enumerate(labels):
            of_class = split.labels == column
            for upper, choice in ((0, of_class & (predicted == column)), (2, of_class & (predicted != column))):
                picture, bars = cells[upper, column], cells[upper + 1, column]
                rows = np.flatnonzero(choice)
                if not len(rows):
                    picture.set_axis_off()
                    bars.set_axis_off()
                    picture.set_title(f"{label}: none")
                    continue
                row = rng.choice(rows)
                said = predicted[row]
                _show(picture, split.images[row])
                picture.set_title(label if upper == 0 else f"{label}, taken\nfor {labels[said]}")
                colours = [GREEN if k == column else VERMILION if k == said else GREY for k in range(len(labels))]
                values = 100 * probabilities[row]
                drawn = bars.barh(range(len(labels)), values, color=colours)
                bars.bar_label(drawn, [f"{value:.0f}" for value in values], fontsize=7, padding=2)
                bars.set_yticks(range(len(labels)), labels if column == 0 else [""] * len(labels), fontsize=8)
                bars.set_xlim(0, 125)
                bars.set_xticks([])
                bars.invert_yaxis()
                bars.spines["bottom"].set_visible(False)
        for upper, text in ((0, "right"), (2, "wrong")):
            cells[upper, 0].set_ylabel(text, fontsize=11, labelpad=30)
        figure.supxlabel("probabilities in %: green the true class, vermilion the one predicted instead", fontsize=9)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
