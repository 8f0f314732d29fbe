from __future__ import annotations

import numpy as np
import pytest

from fer_convert import temperature
from fer_edge.contract.errors import ModelFileError


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_fit_finds_the_temperature_that_labels_were_drawn_at(true: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 7))
    right = softmax(logits / true)
    labels = np.array([rng.choice(7, p=row / row.sum()) for row in right.astype(float)])
    assert temperature.fit(softmax(logits), labels) == pytest.approx(true, rel=0.05)


def test_fitted_confidence_is_as_large_as_the_accuracy() -> None:
    """Also where no temperature makes the whole distribution right: the labels are of two kinds of pictures."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (4_000, 7))
    labels = np.where(rng.random(4_000) < 0.6, logits.argmax(axis=1), rng.integers(0, 7, 4_000))
    found = temperature.fit(softmax(logits), labels)
    accuracy = np.mean(logits.argmax(axis=1) == labels)
    assert softmax(logits / found).max(axis=1).mean() == pytest.approx(accuracy, abs=1e-3)


def test_fit_stays_within_its_limits() -> None:
    sure = softmax(np.eye(7)[np.arange(700) % 7] * 4.0)
    labels = np.arange(700) % 7
    assert temperature.fit(sure, labels) == pytest.approx(temperature.LIMITS[0], rel=1e-3)
    assert temperature.fit(sure, (labels + 1) % 7) == pytest.approx(temperature.LIMITS[1], rel=1e-3)


@pytest.mark.tensorflow
@pytest.mark.parametrize("end", ["dense", "convolution", "activation", "within"])
def test_scaled_network_divides_its_logits(end: str) -> None:
    import keras
    from keras import layers

    inputs = layers.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    if end == "convolution":
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3)(x))
    else:
        x = layers.Dense(5, activation="softmax" if end == "within" else None)(layers.Flatten()(x))
    if end == "activation":
        x = layers.Activation("softmax")(x)
    elif end != "within":
        x = layers.Softmax()(x)
    network = keras.Model(inputs, x)
    faces = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)
    before = network(faces).numpy()
    after = temperature.scale(network, 2.0)(faces).numpy()
    wanted = np.sqrt(before) / np.sqrt(before).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after, wanted, atol=1e-5)
    np.testing.assert_array_equal(network(faces).numpy(), before)


@pytest.mark.tensorflow
def test_a_network_that_cannot_hold_a_temperature_is_named() -> None:
    import keras
    from keras import layers

    inputs = layers.Input((4,))
    network = keras.Model(inputs, layers.Softmax()(layers.Dense(3, activation="relu")(inputs)), name="bent")
    assert temperature.last_linear(network) is None
    assert temperature.scale(network, 1.0) is network
    with pytest.raises(ModelFileError, match="network 'bent' does not end in a dense or convolutional layer"):
        temperature.scale(network, 1.5)
