"""Averaging a picture and its mirror image, in Keras and in what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fer_convert import inspection, quantization, ranges
from fer_convert.calibration import CalibrationSet
from fer_convert.mirroring import mirrored
from fer_convert.runner import Runner
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.flatbuffer import check_network

pytestmark = pytest.mark.tensorflow


def test_the_mean_of_both_logits_with_the_same_weights(network: Any, calibration: CalibrationSet) -> None:
    from fer_convert.conversion import float_probabilities

    both = mirrored(network)
    assert both.count_params() == network.count_params()
    images = calibration.images[:5]
    straight, turned = (float_probabilities(network, seen) for seen in (images, images[:, :, ::-1]))
    assert np.abs(straight - turned).max() > 1e-3, "a network that sees no difference proves nothing"
    wanted = np.sqrt(straight * turned)
    np.testing.assert_allclose(float_probabilities(both, images), wanted / wanted.sum(axis=1, keepdims=True), atol=1e-5)


def test_without_a_softmax_layer_it_is_refused(network: Any) -> None:
    import keras

    with pytest.raises(ModelFileError, match="with --no-mirror"):
        mirrored(keras.Model(network.inputs, network.layers[-1].input))


def test_int8_holds_the_weights_once_and_answers_a_mirror_image_alike(
    network: Any, calibration: CalibrationSet
) -> None:
    from fer_convert.conversion import float_probabilities

    single = quantization.convert(network, "int8", calibration)
    both = mirrored(network)
    written = quantization.convert(both, "int8", calibration)
    written = ranges.refine(written, quantization.convert(both, "float32", calibration), calibration.images, seed=0)
    inspection.require_int8(inspection.inspect(written))
    assert len(quantization.strip(written)) < len(quantization.strip(single)) + 4_000
    runner = Runner(written)
    wanted = float_probabilities(both, calibration.images[:20])
    for image, expected in zip(calibration.images[:20], wanted, strict=True):
        answer = runner.classify(image)
        np.testing.assert_array_equal(answer, runner.classify(np.ascontiguousarray(image[:, ::-1])))
        np.testing.assert_allclose(answer, expected, atol=0.1)


def test_the_runtime_takes_such_a_model(network: Any, calibration: CalibrationSet) -> None:
    check_network(quantization.strip(quantization.convert(mirrored(network), "int8", calibration)), "both")
