from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_convert import calibration, inspection, quantization, ranges
from fer_convert.runner import Runner
from fer_convert.source import load_network
from fer_train import datasets

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def converted(trained: Path, patterns: Path) -> tuple[bytes, bytes, bytes, np.ndarray]:
    """int8 as the converter wrote it, with refined ranges, float32; and pictures."""
    network, _ = load_network(trained / "best.keras")
    data = datasets.load(patterns)
    drawn = calibration.draw(data.split("Training"), name="Training", classes=7, seed=0)
    quantized, floating = (quantization.convert(network, kind, drawn) for kind in ("int8", "float32"))
    return (
        quantized,
        ranges.refine(quantized, floating, drawn.images, seed=0),
        floating,
        data.split("PublicTest").images,
    )


def test_refined_ranges_come_nearer_to_the_float_network(converted: tuple[bytes, bytes, bytes, np.ndarray]) -> None:
    images = converted[3]
    outputs = [np.stack([runner.classify(image) for image in images]) for runner in map(Runner, converted[:3])]
    errors = [float(np.mean((found - outputs[2]) ** 2)) for found in outputs[:2]]
    assert errors[1] < errors[0]


def test_only_ranges_and_biases_change(converted: tuple[bytes, bytes, bytes, np.ndarray]) -> None:
    quantized, refined, _, _ = converted
    before, after = inspection.inspect(quantized), inspection.inspect(refined)
    inspection.require_int8(after)
    assert after.listing() == before.listing()
    assert (after.input, after.output) == (before.input, before.output)
    assert len(refined) - len(quantized) < 100, "no bias is kept twice"


def test_another_graph_is_left_alone(converted: tuple[bytes, bytes, bytes, np.ndarray]) -> None:
    quantized, images = converted[0], converted[3]
    import keras

    network = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7), keras.layers.Softmax()]
    )
    drawn = calibration.CalibrationSet(images, (len(images),), "made", 0)
    other = quantization.convert(network, "float32", drawn)
    assert ranges.refine(quantized, other, images, seed=0) == quantized


def test_the_range_of_a_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    scale, zero_point = ranges.best(values)
    # Banner et al., table 1, give 3.92 standard deviations for 8 bits; the extremes here are at 4.9.
    assert 3.7 < float(scale) * 255 / 2 < 4.3
    assert abs(zero_point) <= 8


def test_the_range_of_a_rectified_distribution_begins_at_zero() -> None:
    values = np.maximum(np.random.default_rng(0).normal(size=100_000), 0).astype(np.float32)
    scale, zero_point = ranges.best(values)
    assert zero_point == -128
    assert float(scale) * 255 < values.max()
