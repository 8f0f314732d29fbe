"""Several devices: on JAX, four virtual ones train as one does; elsewhere the wish is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from narrow import NARROW

from fer_edge.contract.errors import UsageError

SUPPORT = str(Path(__file__).parents[1] / "support")


def needs_jax(test: Callable[..., None]) -> Callable[..., None]:
    absent = find_spec("jax") is None or find_spec("keras") is None
    return pytest.mark.slow(pytest.mark.skipif(absent, reason="needs keras and jax")(test))


def fer_train(*arguments: object, devices: int, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.run(
        [sys.executable, "-c", "from fer_train.cli import main; main()", *map(str, arguments)],
        env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.tensorflow
def test_tensorflow_has_no_distribution_of_its_own() -> None:
    import keras

    from fer_train.devices import use_devices

    use_devices(1, batch_size=32)
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(UsageError, match="--devices 2 needs Keras on JAX, and it runs on tensorflow"):
            use_devices(2, batch_size=32)
    assert keras.distribution.distribution() is None


NETWORKS = """
import numpy as np
from narrow import NARROW
from fer_train import models, recipe
for name, options in NARROW.items():
    one = recipe.load(name)
    network = models.build(**{**one.model, **options}, classes=7, side=one.side)
    answer = np.asarray(network(np.zeros((2, one.side, one.side, 1), np.float32), training=True))
    assert answer.shape == (2, 7) and np.allclose(answer.sum(axis=1), 1, atol=1e-5), name
print(len(NARROW), "networks")
"""


@needs_jax
def test_every_network_is_one_on_jax_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NETWORKS], env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": SUPPORT},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(NARROW)} networks\n"


@needs_jax
def test_four_virtual_devices_train_as_one(
    tmp_path: Path, csv_rows: list[str], small_recipe: Path, write_csv: Callable[..., Path]
) -> None:
    data = write_csv(csv_rows)
    asked = ["--recipe", small_recipe, "--data", data, "--epochs", 2]
    losses = []
    for count in (1, 4):
        done = fer_train(*asked, "--name", f"on{count}", "--devices", count, devices=4, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = (tmp_path / "runs" / f"on{count}" / "history.csv").read_text().splitlines()[1:]
        losses.append([float(row.split(",")[2]) for row in rows])
        # 35 validation pictures do not divide by four.
        assert json.loads((tmp_path / "runs" / f"on{count}" / "evaluation.json").read_text())["count"] == 35
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0][1] < losses[0][0]
    for count, sentence in ((5, "more than the 4 there are"), (3, "batches of 16 pictures cannot be split")):
        done = fer_train(*asked, "--name", "refused", "--devices", count, devices=4, folder=tmp_path)
        assert done.returncode == 2
        assert sentence in done.stderr
    assert not (tmp_path / "runs" / "refused").exists()
