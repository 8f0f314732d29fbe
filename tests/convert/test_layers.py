"""The error of each layer, against the same figure worked out from the interpreter's own outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_convert import calibration, layers, quantization, source
from fer_convert.runner import Runner
from fer_train import datasets

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def written(trained: Path, patterns: Path) -> tuple[dict[str, bytes], np.ndarray]:
    """The same network in three kinds, as the converter wrote it, and pictures to compare on."""
    data = datasets.load(patterns)
    network, _ = source.load_network(trained / "best.keras")
    drawn = calibration.draw(data.split("Training"), name="Training", classes=7, seed=0)
    kinds = {kind: quantization.convert(network, kind, drawn) for kind in ("float32", "float16", "int8")}
    return kinds, data.split("PublicTest").images[:12]


def test_the_last_layer_is_as_far_off_as_the_outputs_are(written: tuple[dict[str, bytes], np.ndarray]) -> None:
    kinds, images = written
    found = layers.compare(kinds["float32"], kinds["int8"], images)
    wanted, given = (
        np.stack([Runner(kinds[kind]).classify(image) for image in images]).astype(np.float64)
        for kind in ("float32", "int8")
    )
    noise = given - wanted
    last = found[-1]
    assert (last.operator, last.shape) == ("SOFTMAX", (1, 7))
    assert last.sqnr_db == pytest.approx(10 * np.log10((wanted**2).sum() / (noise**2).sum()), abs=0.01)
    assert last.error_steps == pytest.approx(np.sqrt((noise**2).mean()) * 256, rel=0.01)


def test_every_layer_is_compared_and_the_error_builds_up(written: tuple[dict[str, bytes], np.ndarray]) -> None:
    kinds, images = written
    found = layers.compare(kinds["float32"], kinds["int8"], images)
    kind_of = [layer.operator for layer in found]
    assert kind_of[0] == "CONV_2D" and kind_of.count("SOFTMAX") == 1 and "ADD" in kind_of
    assert found[0].layer == "conv2d_1" or found[0].layer.startswith("conv2d")
    assert all(layer.sqnr_db is not None and layer.sqnr_db > 5 for layer in found)
    # The first sees an exact input and rounds its own output and weights; the logits carry all of them.
    # Behind them the softmax of so sure a network is nearly 0 or 1 whatever the error, and 1 is clipped to 255/256.
    before = [layer for layer in found if layer.operator != "SOFTMAX"]
    assert before[0].sqnr_db > 30
    assert before[0].sqnr_db > min(layer.sqnr_db for layer in before[1:])
    assert 0.2 < before[0].error_steps < 1
    assert all(0 <= layer.clipped < 0.01 for layer in before)


def test_a_network_is_equal_to_itself(written: tuple[dict[str, bytes], np.ndarray]) -> None:
    kinds, images = written
    found = layers.compare(kinds["float32"], kinds["float32"], images[:2])
    assert len(found) > 10
    assert {(layer.sqnr_db, layer.error_steps, layer.clipped) for layer in found} == {(None, None, None)}


def test_float16_is_closer_than_int8_and_has_no_steps(written: tuple[dict[str, bytes], np.ndarray]) -> None:
    kinds, images = written
    half = layers.compare(kinds["float32"], kinds["float16"], images[:2])
    assert len(half) == len(layers.compare(kinds["float32"], kinds["int8"], images[:2]))
    assert all(layer.sqnr_db is None or layer.sqnr_db > 40 for layer in half)
    assert {(layer.error_steps, layer.clipped) for layer in half} == {(None, None)}


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("f/net_1/re_lu_1/Relu;f/net_1/bn_1/batchnorm/add_1;f/net_1/conv2d_3/convolution", "conv2d_3"),
        ("f/net_1/add_1/Add", "add_1"),
        ("StatefulPartitionedCall_1:0", "StatefulPartitionedCall_1:0"),
    ],
)
def test_layers_are_called_by_the_networks_names(tensor: str, layer: str) -> None:
    assert layers._layer(tensor) == layer
