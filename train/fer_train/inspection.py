"""`fer-train inspect`: pictures of what a network has learnt: first filters, activations, and what it looks at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.commands import Command
from fer_edge.contract.errors import DataError, UsageError
from fer_train.commands import import_keras, load_of, require_extra
from fer_train.data_options import FILE
from fer_train.datasets import Split
from fer_train.runs import WEIGHTS, open_run

if TYPE_CHECKING:
    import keras

FILTERS, ACTIVATIONS, SALIENCY = "filters.png", "activations.png", "saliency.png"
PATCH_SHARE, STRIDE_SHARE = 1 / 6, 1 / 16
"""Of the picture's side: 8 and 3 pixels of 48."""


@click.command("inspect", cls=Command)
@click.argument("folder", metavar="RUN", type=FILE)
@click.option("--data", type=FILE, multiple=True, help="The run's data, where it lies elsewhere now.")
@click.option(
    "--pictures", type=click.IntRange(1, 10_000), default=24, show_default=True, help="Of each class, for the saliency."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draw.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of TensorFlow.  [default: all cores]")
def command(folder: Path, *, data: tuple[Path, ...], pictures: int, seed: int, threads: int | None) -> None:
    """Draw what the best network of RUN has learnt.

    Writes into RUN: filters.png (first layer, and what it makes of a picture), activations.png (the layers after
    it, where there are feature maps), saliency.png (where covering the face costs the most, on validation
    pictures of each class).

    \b
    fer-train inspect runs/mini-1
    """
    run = open_run(folder)
    if not (folder / WEIGHTS).exists():
        raise DataError(f"{folder} has no complete epoch yet; continue it with --resume {folder}")
    require_extra()
    divided = load_of(run, data)
    import_keras(threads)
    from fer_train import analysis_plots, models
    from fer_train.report import predict
    from fer_train.saliency import occlusion

    model = models.load(folder / WEIGHTS)
    split, labels = divided.split(run.validation_split), divided.labels
    title = f"{run.recipe.name}, seed {run.seed}: {WEIGHTS}"
    shown = sample(split, len(labels), 1, seed)
    kernels, maps = first_filters(model, shown.images)
    analysis_plots.filter_sheet(folder / FILTERS, kernels, shown, maps, labels=labels, title=f"{title}, first layer")
    stages = activations(model, shown.images[:1])
    if stages:
        analysis_plots.activation_sheet(folder / ACTIVATIONS, shown.images[0], stages, title=f"{title}, layer by layer")
    drawn = sample(split, len(labels), pictures, seed)
    side = drawn.images.shape[1]
    with click.progressbar(length=len(labels), label="saliency") as bar:
        lost = np.empty(drawn.images.shape, np.float32)
        for label in range(len(labels)):
            rows = np.flatnonzero(drawn.labels == label)
            if len(rows):
                lost[rows] = occlusion(
                    lambda images: predict(model, images), drawn.images[rows], drawn.labels[rows],
                    patch=round(side * PATCH_SHARE), stride=max(1, round(side * STRIDE_SHARE)),
                )  # fmt: skip
            bar.update(1)
    analysis_plots.saliency_sheet(
        folder / SALIENCY, drawn, lost, labels=labels,
        title=f"{title}: probability of the true class lost where {run.validation_split} pictures are covered",
    )  # fmt: skip
    written = [FILTERS, *([ACTIVATIONS] if stages else []), SALIENCY]
    click.echo(f"written to {folder}: {', '.join(written)}")


def sample(split: Split, classes: int, pictures: int, seed: int) -> Split:
    """At most so many pictures of each class, drawn at random, class after class."""
    rng = np.random.default_rng(seed)
    rows = [
        np.sort(rng.choice(members, min(pictures, len(members)), replace=False))
        for label in range(classes)
        if len(members := np.flatnonzero(split.labels == label))
    ]
    return split.take(np.concatenate(rows))


def first_filters(
    model: keras.Model, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Filters of the first layer that sees the picture, and its outputs.

    Args:
        model: from (n, side, side, 1).
        images: uint8, (n, side, side).

    Returns:
        Filters (float32, (filters, height, width)), those of a dense layer as pictures; and the layer's
        outputs (float32, (n, height, width, filters)), None for a dense one.

    Raises:
        UsageError: the network has no such layer.
    """
    import keras

    from fer_train.batches import to_input

    side = images.shape[1]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float32)
            filters = kernel.reshape(*kernel.shape[:2], -1).transpose(2, 0, 1)
            return filters, keras.Model(model.inputs, layer.output).predict(to_input(images), verbose=0)
        if isinstance(layer, keras.layers.Dense) and layer.kernel.shape[0] == side * side:
            kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float32)
            return kernel.T.reshape(-1, side, side), None
    raise UsageError(f"network {model.name} has neither a convolution nor a dense layer on pixels to be drawn")


def activations(model: keras.Model, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What each stage makes of pictures, by layer: the last activation or sum of every size, in order.

    Args:
        model: from (n, side, side, 1).
        images: uint8, (n, side, side).

    Returns:
        float32, (n, height, width, channels) each; empty for a network without feature maps.
    """
    import keras

    from fer_train.batches import to_input

    last: dict[tuple[int, int], keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.ReLU | keras.layers.Activation | keras.layers.Add):
            shape = layer.output.shape
            if len(shape) == 4:
                last[shape[1], shape[2]] = layer
    if not last:
        return {}
    outputs = keras.Model(model.inputs, [layer.output for layer in last.values()]).predict(to_input(images), verbose=0)
    found = outputs if isinstance(outputs, list) else [outputs]
    return {layer.name: np.asarray(values) for layer, values in zip(last.values(), found, strict=True)}
