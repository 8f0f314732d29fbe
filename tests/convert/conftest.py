"""A small data set of drawn patterns and a network that learns it in seconds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_convert.calibration import CalibrationSet, draw
from fer_train import datasets

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SIDE = 48
Change = Callable[[Any], None]


def picture(label: int, rng: np.random.Generator) -> np.ndarray:
    """Stripes and noise; their direction says the class."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = np.pi * label / 7
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.2 + rng.uniform(0, 2 * np.pi))
    return np.clip(128 + 70 * stripes + rng.normal(0, 20, (SIDE, SIDE)), 0, 255).astype(np.uint8)


def write_csv(path: Path, *, seed: int, training: int = 30, public: int = 12) -> Path:
    """Write a FER2013 table of drawn patterns with so many pictures a class."""
    rng = np.random.default_rng(seed)
    rows = ["emotion,pixels,Usage"]
    for usage, count in (("Training", training), ("PublicTest", public)):
        for label in rng.permutation(np.repeat(np.arange(7), count)):
            rows.append(f"{label},{' '.join(map(str, picture(int(label), rng).ravel()))},{usage}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FER2013 csv of drawn patterns."""
    return write_csv(tmp_path_factory.mktemp("data") / "patterns.csv", seed=1)


@pytest.fixture(scope="session")
def trained(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose network has learnt the patterns; not to be written to."""
    pytest.importorskip("tensorflow", reason="needs the train extra")
    import keras

    from fer_train import datasets, models, recipe, runs
    from fer_train.batches import to_input
    from fer_train.datasets.records import one_hot

    asked = recipe.from_dict(
        {
            "name": "patterns",
            "model": {"architecture": "mini_xception", "filters": [8, 24], "batch_norm_momentum": 0.7},
        }
    )
    data = datasets.load(patterns)
    folder = tmp_path_factory.mktemp("trained") / "patterns"
    runs.create_run(folder, asked, data, seed=1)
    keras.utils.set_random_seed(1)
    network = models.build(**asked.model, classes=7, side=SIDE)
    network.compile(optimizer=keras.optimizers.Adam(0.01), loss="categorical_crossentropy")
    split = data.split("Training")
    network.fit(to_input(split.images), one_hot(split.labels, 7), batch_size=16, epochs=4, verbose=0)
    network.save(folder / "best.keras")
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run as runs/patterns under the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "runs" / "patterns")).relative_to(tmp_path)


@pytest.fixture
def change_network() -> Callable[[Path, Change], None]:
    """Load a .keras file, change the network, save it in its place."""

    def change(path: Path, how: Change) -> None:
        import keras

        network = keras.saving.load_model(path, compile=False)
        how(network)
        network.save(path)

    return change


@pytest.fixture(scope="session")
def network(trained: Path) -> Any:
    """The trained network, for tests that leave it as it is."""
    import keras

    import fer_train.models  # noqa: F401

    return keras.saving.load_model(trained / "best.keras", compile=False)


@pytest.fixture(scope="session")
def calibration(patterns: Path) -> CalibrationSet:
    """A few of the drawn patterns."""
    return draw(datasets.load(patterns).split("Training"), name="Training", classes=7, seed=0, pictures=40)
