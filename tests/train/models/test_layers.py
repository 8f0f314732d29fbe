from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def test_batch_normalization_is_keras_own() -> None:
    import keras
    import tensorflow as tf

    from fer_train.models.layers import BatchNormalization

    rng = np.random.default_rng(0)
    layers = [kind(momentum=0.8) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.build((None, 6, 6, 5))
        layer.gamma.assign(np.linspace(0.5, 2.0, 5))
        layer.beta.assign(np.linspace(-1.0, 1.0, 5))
    for _ in range(3):
        inputs = tf.constant(rng.normal(2.0, 3.0, (8, 6, 6, 5)), tf.float32)
        weights = tf.constant(rng.normal(size=(8, 6, 6, 5)), tf.float32)
        outputs, gradients = [], []
        for layer in layers:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                out = layer(inputs, training=True)
                loss = tf.reduce_sum(out * weights)
            outputs.append(out)
            gradients.append(tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value]))
        np.testing.assert_allclose(*outputs, atol=1e-4)
        for ours, theirs in zip(*gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    # The fused kernel divides the variance by n - 1, Keras by n: 288 values here.
    np.testing.assert_allclose(layers[0].moving_mean, layers[1].moving_mean, rtol=1e-4)
    np.testing.assert_allclose(layers[0].moving_variance, layers[1].moving_variance, rtol=5e-3)
    for layer in layers:
        layer.moving_variance.assign(np.linspace(1.0, 9.0, 5))
    np.testing.assert_allclose(*(layer(inputs, training=False) for layer in layers), atol=1e-4)


def test_frozen_layer_uses_its_running_statistics() -> None:
    from fer_train.models.layers import BatchNormalization

    layer = BatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    inputs = np.random.default_rng(0).normal(5.0, 2.0, (4, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(layer(inputs, training=True), inputs, rtol=1e-2)
