"""Every network of the zoo learns, and is the network that its source describes."""

from __future__ import annotations

import numpy as np
import pytest
from narrow import NARROW, without_dropout

from fer_train import recipe as recipes

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("name", NARROW)
def test_loss_falls_and_a_batch_is_learnt_by_heart(name: str) -> None:
    import keras

    from fer_train import models
    from fer_train.batches import to_input

    one = recipes.load(name)
    options = {**one.model, **NARROW[name], **without_dropout(one.model["architecture"])}
    classes = 6 if name == "vgg_alexnet" else 7
    rng = np.random.default_rng(1)
    labels = np.arange(16) % classes
    # Without a pattern: what is right about these labels can only be remembered.
    coarse = rng.integers(0, 256, (16, 12, 12), dtype=np.uint8)
    images = np.kron(coarse, np.ones((one.side // 12, one.side // 12), np.uint8))
    keras.utils.set_random_seed(1)
    model = models.build(**options, classes=classes, side=one.side)
    model.compile(keras.optimizers.Adam(0.005), "categorical_crossentropy", metrics=["accuracy"])
    targets = np.eye(classes, dtype=np.float32)[labels]
    history = model.fit(to_input(images), targets, batch_size=16, epochs=60, shuffle=False, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert (model.predict_on_batch(to_input(images)).argmax(axis=1) == labels).all()


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        # A weight a pixel and class, and a bias a class.
        ("fully_connected", 48 * 48 * 7 + 7),
        # Kernels, two numbers a channel of each normalization, dense layers: 48 -> 46 -> 23 -> 11.
        ("shallow_cnn", 9 * 32 + 2 * 32 + 25 * 32 * 64 + 2 * 64 + 11 * 11 * 64 * 512 + 2 * 512 + 512 * 7 + 7),
        # As torchvision's, whose convolutions have biases, with one input channel: 46 -> 23 -> 11 -> 5 -> 2 -> 1.
        ("vgg19_bn", 20_035_392 - 2 * 9 * 64 + 512 * 512 + 512 + 512 * 7 + 7),
    ],
)
def test_published_parameter_counts(name: str, trained: int) -> None:
    from fer_train import models

    one = recipes.load(name)
    model = models.build(**one.model, classes=7, side=one.side)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trained


def test_an_input_of_another_side_and_other_classes() -> None:
    from fer_train import models

    for name, narrow in NARROW.items():
        model = models.build(**{**recipes.load(name).model, **narrow}, classes=8, side=64)
        assert (model.input_shape, model.output_shape) == ((None, 64, 64, 1), (None, 8))
