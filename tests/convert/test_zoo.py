"""Every network of the zoo becomes an int8 model file that the edge runtime serves and that loses next to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from narrow import NARROW, without_dropout

from fer_convert.calibration import draw
from fer_edge.contract import model_file
from fer_train import recipe as recipes
from fer_train.datasets import Dataset, Split

pytestmark = pytest.mark.tensorflow

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
CLASSES = {"vgg_alexnet": 6, "deep_cnn": 8}
"""Of the recipes that are tried with other than seven labels."""


def patterns(count: int, *, classes: int, side: int, seed: int) -> Split:
    """Stripes whose direction says the class, under blobs and noise: learnable, but not without mistakes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    y, x = np.mgrid[:side, :side] * (48 / side)
    angles = (np.pi * labels / classes + rng.normal(0, 0.06, count))[:, None, None]
    stripes = 40 * np.sin((x * np.cos(angles) + y * np.sin(angles)) * 0.9 + rng.uniform(0, 6.3, (count, 1, 1)))
    blobs = np.stack([cv2.resize(rng.normal(0, 30, (5, 5)), (side, side)) for _ in range(count)])
    levels = 128 + stripes + blobs + rng.normal(0, 20, (count, side, side))
    return Split(np.clip(levels, 0, 255).astype(np.uint8), labels, tuple(f"drawn#{n}" for n in range(count)))


def trained(name: str) -> tuple[Any, Dataset]:
    """The narrow network of a recipe after a short training, and the patterns it has learnt."""
    import keras

    from fer_train import models
    from fer_train.batches import to_input
    from fer_train.models.centering import MeanSubtraction

    one, classes = recipes.load(name), CLASSES.get(name, 7)
    data = Dataset(
        LABELS[:classes],
        {
            "Training": patterns(560, classes=classes, side=one.side, seed=1),
            "PublicTest": patterns(1000, classes=classes, side=one.side, seed=2),
        },
        "drawn",
    )
    split = data.split("Training")
    keras.utils.set_random_seed(1)
    options = {**one.model, **NARROW[name], **without_dropout(one.model["architecture"])}
    model = models.build(**options, classes=classes, side=one.side)
    for layer in model.layers:
        if isinstance(layer, MeanSubtraction):
            layer.adapt(to_input(split.images))
    model.compile(keras.optimizers.Adam(0.003), "categorical_crossentropy")
    targets = np.eye(classes, dtype=np.float32)[split.labels]
    model.fit(to_input(split.images), targets, batch_size=40, epochs=6, verbose=0)
    return model, data


def events(model: Path) -> list[dict[str, Any]]:
    """What `fer-edge run` says of a few frames of the demo with a model."""
    from fer_edge.cli import main

    path = model.with_name("events.jsonl")
    options = ["--source", "demo", "--detector", "haar", "--max-frames", "6", "--publish", f"file:{path}"]
    done = CliRunner().invoke(main, ["run", "--model", str(model), *options])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", NARROW)
def test_int8_is_whole_and_within_a_point_of_float(name: str, tmp_path: Path) -> None:
    from fer_convert.conversion import Converter, float_probabilities
    from fer_convert.source import Source
    from fer_edge.expressions import litert

    model, data = trained(name)
    validation = data.split("PublicTest")
    converter = Converter(
        source=Source(tmp_path / f"{name}.keras", None), network=model, temperature=1.0, weights_sha256="",
        labels=data.labels,
        calibration=draw(data.split("Training"), name="Training", classes=len(data.labels), seed=0, pictures=200),
        validation=validation, before=float_probabilities(model, validation.images), seed=0,
    )  # fmt: skip
    # Raises where a float tensor or an operator without an int8 kernel is left, or LiteRT computes otherwise.
    conversion = converter.convert("int8")
    found = conversion.comparison
    assert found.before.accuracy > 1.5 / len(data.labels), "an untrained network proves nothing"
    assert found.drop <= 1.0
    assert found.agreement > 0.95
    conversion.model.write(tmp_path / "model.int8.tflite")

    classifier = litert.load(tmp_path / "model.int8.tflite")
    assert (classifier.labels, classifier.side) == (data.labels, recipes.load(name).side)
    tops = [classifier.classify(image).argmax() for image in validation.images[:100]]
    assert np.mean(tops == converter.before[:100].argmax(axis=1)) > 0.9
    assert model_file.read(tmp_path / "model.int8.tflite").labels == data.labels
    assert events(tmp_path / "model.int8.tflite")[0]["faces"][0]["probabilities"].keys() == set(data.labels)


def test_mean_subtraction_leaves_no_operator_of_its_own() -> None:
    import keras

    from fer_convert import inspection, quantization
    from fer_train.models.centering import MeanSubtraction

    face = keras.Input((48, 48, 1))
    centred = MeanSubtraction()
    x = keras.layers.Conv2D(4, 5, strides=4)(centred(face))
    network = keras.Model(face, keras.layers.Dense(7, "softmax")(keras.layers.Flatten()(x)))
    centred.adapt(np.full(3, 0.25, np.float32))
    drawn = draw(patterns(70, classes=7, side=48, seed=3), name="drawn", classes=7, seed=0)
    contents = inspection.inspect(quantization.convert(network, "int8", drawn))
    inspection.require_int8(contents)
    assert contents.operator_counts() == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "RESHAPE": 1, "SOFTMAX": 1}
