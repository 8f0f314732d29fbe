"""ImageNet weights from a file: a grey face must give what torchvision's network gives for the same face in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from fer_convert.source import Source
from fer_edge.contract.errors import DataError
from fer_edge.contract.files import sha256_of
from fer_train import recipe as recipes
from fer_train.datasets import Dataset
from fer_train.runs import create_run, open_run

pytestmark = pytest.mark.tensorflow

FILTERS, REPEATS = (4, 6), (2, 1)


def made_weights() -> dict[str, np.ndarray]:
    """Random weights under torchvision's names: number 0 is a convolution, 1 its normalization, 2 a ReLU, 6 a pool."""
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}
    for number, inputs, width in ((0, 3, 4), (3, 4, 4), (7, 4, 6)):
        kernel = rng.normal(0, 0.4, (width, inputs, 3, 3))
        values: dict[str, Any] = {
            f"features.{number}.weight": kernel,
            f"features.{number}.bias": rng.normal(size=width),
        }
        for name in ("weight", "bias", "running_mean", "running_var"):
            values[f"features.{number + 1}.{name}"] = rng.uniform(0.5, 1.5, width)
        weights |= {name: value.astype(np.float32) for name, value in values.items()}
    return weights


def torchvision_features(weights: dict[str, np.ndarray], grey: np.ndarray) -> np.ndarray:
    """By hand in numpy, of normalized red, green and blue that are all `grey` (h, w) in [0, 1]; no padding at first."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = (grey[None] - mean[:, None, None]) / deviation[:, None, None]
    for number in (0, 3, 7):
        kernel = weights[f"features.{number}.weight"]
        if number:
            x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
        x = np.einsum("chwij,ncij->nhw", windows, kernel) + weights[f"features.{number}.bias"][:, None, None]
        scale, shift, centre, variance = (
            weights[f"features.{number + 1}.{name}"][:, None, None]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        x = np.maximum((x - centre) / np.sqrt(variance + 1e-5) * scale + shift, 0.0)
        if number in (3, 7):
            height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
            x = x[:, :height, :width].reshape(len(x), height // 2, 2, width // 2, 2).max(axis=(2, 4))
    return x


def build(path: Path) -> Any:
    from fer_train import models

    return models.build("vgg19_bn", classes=7, side=16, filters=FILTERS, repeats=REPEATS, dense=8, weights=str(path))


def test_a_grey_face_gives_what_the_same_face_gives_in_colour(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="needs the train extra")
    import keras

    weights = made_weights()
    numpy_files.save_file({**weights, "classifier.0.weight": np.zeros((2, 2), np.float32)}, tmp_path / "w.safetensors")
    model = build(tmp_path / "w.safetensors")
    flat = next(layer for layer in model.layers if isinstance(layer, keras.layers.Flatten))
    grey = np.random.default_rng(1).random((16, 16))
    found = keras.Model(model.inputs, flat.input)((2 * grey - 1)[None, ..., None].astype(np.float32))
    np.testing.assert_allclose(np.asarray(found)[0].transpose(2, 0, 1), torchvision_features(weights, grey), rtol=1e-3)


def test_other_files_are_refused(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="needs the train extra")
    path = tmp_path / "w.safetensors"
    with pytest.raises(DataError, match=r"w\.safetensors cannot be read"):
        build(path)
    path.write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"w\.safetensors cannot be read"):
        build(path)
    weights = made_weights()
    numpy_files.save_file({**weights, "features.3.weight": weights["features.3.weight"][:2]}, path)
    with pytest.raises(DataError, match=r"has \(2, 4, 3, 3\) where \(4, 4, 3, 3\) is needed at features\.3\.weight"):
        build(path)
    del weights["features.7.bias"]
    numpy_files.save_file(weights, path)
    with pytest.raises(DataError, match=r"has nothing where \(6,\) is needed at features\.7\.bias"):
        build(path)


def test_a_run_goes_on_without_the_file_that_it_began_with(made_data: Dataset, tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="needs the train extra")
    from fer_train.fit import fit

    path = tmp_path / "weights.safetensors"
    numpy_files.save_file(made_weights(), path)
    model = {"architecture": "vgg19_bn", "filters": FILTERS, "repeats": REPEATS, "dense": 8, "weights": str(path)}
    one = recipes.from_dict({"name": "begun", "model": model, "training": {"epochs": 2}})
    run = create_run(tmp_path / "run", one, made_data, seed=1)
    assert run.facts()["first_weights_sha256"] == sha256_of(path)
    with pytest.raises(KeyboardInterrupt):
        fit(run, made_data, on_epoch=Mock(side_effect=KeyboardInterrupt))
    path.unlink()
    fit(open_run(run.folder), made_data)
    assert len(run.history()) == 2
    said = Source(run.folder / "best.keras", run).facts()
    assert said["recipe"]["model"]["weights"] == "weights.safetensors"
